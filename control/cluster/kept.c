/*
 * kept.c: the view on disk (STATE_DIR_CLUSTER), so that a host that starts without the store has what it had, and one
 * that starts with it watches from there on. What is held is there as if it had not ended: only view_purge() ends it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cluster/ipam.h"
#include "control/model/state_dir.h"
#include "registry/base/uuid.h"
#include "registry/store/journal.h"

/* Keys of the store have a slash in them. */
#define ID "id"
#define REVISION "revision" /* of what all hear of, and behind a colon, of a network */

enum { STATE_PATH = 512 };

void cluster_kept_key(struct cluster *cluster, const struct view_key *key)
{
	json_t *json;
	char *text;

	if (!strchr(key->key, '/')) /* it would be taken for ours */
		return;
	if (key->ended) {
		journal_put(cluster->journal, key->key, NULL);
		return;
	}
	if (key->why)
		return;
	json = json_pack("{s:I, s:I, s:s}", "mod", (json_int_t)key->mod, "lease", (json_int_t)key->lease,
		"value", key->value);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (text)
		journal_put(cluster->journal, key->key, text);
	free(text);
	json_decref(json);
}

/* A crash may lose what was put last, of the keys or of this: so it is the store's order that counts, and the revision is
 * put after its keys. */
void cluster_kept_revision(struct cluster *cluster, const struct view_part *part)
{
	char key[sizeof(REVISION) + 1 + VALUE_NAME], text[64];

	snprintf(key, sizeof(key), REVISION "%s%s", part->network[0] ? ":" : "", part->network);
	snprintf(text, sizeof(text), "%lld %llu", (long long)part->revision,
		(unsigned long long)part->cluster_id);
	journal_put(cluster->journal, key, part->revision ? text : NULL);
}

static void restore_revision(struct view *view, const char *network, const char *value)
{
	struct view_part *part = network[0] ? view_part_make(view, network) : &view->shared;
	char *end;

	if (!part)
		return;
	part->revision = strtoll(value, &end, 10);
	part->cluster_id = strtoull(end, NULL, 10);
	if (view->revision < part->revision)
		view->revision = part->revision;
}

static void restore_key(struct view *view, const char *key, const char *value)
{
	json_t *json = json_loads(value, 0, NULL);
	const char *text = json_string_value(json_object_get(json, "value"));
	char network[VALUE_NAME];

	if (view_network_of(key, network))
		view_part_make(view, network);
	if (text)
		view_put(view, key, text, strlen(text), json_integer_value(json_object_get(json, "mod")),
			json_integer_value(json_object_get(json, "lease")));
	json_decref(json);
}

static void restore(void *arg, const char *key, const char *value)
{
	struct cluster *cluster = arg;

	if (strchr(key, '/'))
		restore_key(&cluster->view, key, value);
	else if (strcmp(key, ID) == 0)
		snprintf(cluster->id, sizeof(cluster->id), "%s", value);
	else if (strcmp(key, REVISION) == 0)
		restore_revision(&cluster->view, "", value);
	else if (strncmp(key, REVISION ":", strlen(REVISION ":")) == 0)
		restore_revision(&cluster->view, key + strlen(REVISION ":"), value);
	else
		ipam_restore(cluster, key, value);
}

int cluster_kept_open(struct cluster *cluster, const char *dir, struct api_err *err)
{
	char path[STATE_PATH];
	struct reg_err why;

	if (state_dir_path(dir, STATE_DIR_CLUSTER, path, sizeof(path), err) < 0)
		return -1;
	if (journal_open(cluster->base, path, model_registry(cluster->model), &cluster->journal, &why) < 0)
		return api_fail(err, API_INTERNAL, NULL, "%s", why.text);
	journal_restore(cluster->journal, restore, cluster);
	view_commit_all(&cluster->view, cluster_now_ms());
	if (cluster_ipam_open(cluster) < 0)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (!cluster->id[0]) {
		if (uuid_make(cluster->id) < 0)
			return api_fail(err, API_INTERNAL, NULL, "the kernel has no randomness yet");
		journal_put(cluster->journal, ID, cluster->id);
	}
	return 0;
}
