/* record.c: what is known of Docker's networks, endpoints, pools and addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/base/log.h"
#include "control/docker/inside.h"
#include "control/model/model.h"
#include "control/model/state_dir.h"
#include "registry/store/journal.h"

enum { STATE_PATH = 512, KEY = 256 };

static const char *const kinds[DOCKER_KINDS] = {"network", "endpoint", "pool", "address"};

int64_t docker_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

json_t *docker_record(const struct docker *docker, enum docker_kind kind, const char *id)
{
	return json_object_get(docker->records[kind], id);
}

static void write_record(struct docker *docker, enum docker_kind kind, const char *id, const json_t *record)
{
	char *text = record ? json_dumps(record, JSON_COMPACT) : NULL, key[KEY];

	snprintf(key, sizeof(key), "%s %s", kinds[kind], id);
	if (text || !record)
		journal_put(docker->journal, key, text);
	free(text);
}

void docker_keep(struct docker *docker, enum docker_kind kind, const char *id)
{
	write_record(docker, kind, id, docker_record(docker, kind, id));
}

void docker_put(struct docker *docker, enum docker_kind kind, const char *id, json_t *record)
{
	json_object_set_new(docker->records[kind], id, record);
	docker_keep(docker, kind, id);
}

/* `id` may be the record's own. */
void docker_forget(struct docker *docker, enum docker_kind kind, const char *id)
{
	write_record(docker, kind, id, NULL);
	json_object_del(docker->records[kind], id);
}

static void restore(void *arg, const char *key, const char *value)
{
	struct docker *docker = arg;
	json_t *record = json_loads(value, 0, NULL);

	for (unsigned kind = 0; kind < DOCKER_KINDS; kind++) {
		size_t len = strlen(kinds[kind]);

		if (json_is_object(record) && strncmp(key, kinds[kind], len) == 0 && key[len] == ' ') {
			json_object_set_new(docker->records[kind], key + len + 1, record);
			return;
		}
	}
	log_line(LOG_WARNING, "docker: %s is not readable", key);
	json_decref(record);
}

int docker_records_open(struct docker *docker, const char *dir, struct api_err *err)
{
	char path[STATE_PATH];
	struct reg_err why;

	for (unsigned kind = 0; kind < DOCKER_KINDS; kind++) {
		docker->records[kind] = json_object();
		if (!docker->records[kind])
			return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	if (state_dir_path(dir, STATE_DIR_DOCKER, path, sizeof(path), err) < 0)
		return -1;
	if (journal_open(docker->base, path, model_registry(docker->model), &docker->journal, &why) < 0)
		return api_fail(err, API_INTERNAL, NULL, "%s", why.text);
	journal_restore(docker->journal, restore, docker);
	return 0;
}

void docker_records_close(struct docker *docker)
{
	journal_close(docker->journal);
	for (unsigned kind = 0; kind < DOCKER_KINDS; kind++)
		json_decref(docker->records[kind]);
}
