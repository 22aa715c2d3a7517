#include "control/model/not_kept.h"

#include <stdio.h>
#include <string.h>

#include "control/base/result.h"
#include "control/model/state_dir.h"

static const char *const names[NOT_KEPT_FILES] = {STATE_DIR_OBJECTS, STATE_DIR_REGISTRY};

static int index_of(const char *file)
{
	for (int i = 0; i < NOT_KEPT_FILES; i++)
		if (strcmp(names[i], file) == 0)
			return i;
	return -1;
}

void not_kept_set(struct not_kept *kept, const char *file, const char *why)
{
	int at = index_of(file);

	if (at < 0)
		return;
	if (why && !kept->files[at].why[0]) {
		clock_gettime(CLOCK_MONOTONIC, &kept->files[at].since);
		kept->files[at].times++;
	}
	snprintf(kept->files[at].why, sizeof(kept->files[at].why), "%s", why ? why : "");
}

const char *not_kept_why(const struct not_kept *kept, const char *file)
{
	int at = index_of(file);

	return at >= 0 && kept->files[at].why[0] ? kept->files[at].why : NULL;
}

uint64_t not_kept_times(const struct not_kept *kept, const char *file)
{
	int at = index_of(file);

	return at >= 0 ? kept->files[at].times : 0;
}

json_t *not_kept_json(const struct not_kept *kept)
{
	json_t *list = json_array(), *entry;

	for (int i = 0; i < NOT_KEPT_FILES; i++) {
		if (!kept->files[i].why[0])
			continue;
		entry = json_object();
		put_str(entry, "file", names[i]);
		put_str(entry, "why", kept->files[i].why);
		put_age(entry, "since_s", &kept->files[i].since);
		json_array_append_new(list, entry);
	}
	return list;
}
