#include "control/model/outage.h"

#include <stdio.h>
#include <string.h>

#include "control/base/result.h"
#include "control/model/state_dir.h"

static const char *const names[OUTAGES] = {
	[OUTAGE_HTTP] = "http",
	[OUTAGE_DNS] = "dns",
	[OUTAGE_DOCKER] = "docker",
	[OUTAGE_OBJECTS] = STATE_DIR_OBJECTS,
	[OUTAGE_REGISTRY] = STATE_DIR_REGISTRY,
	[OUTAGE_DOCKER_LOG] = STATE_DIR_DOCKER,
};

bool outage_set(struct outages *all, enum outage which, const char *address, const char *why)
{
	bool known = strcmp(all->each[which].why, why ? why : "") == 0;

	if (why && !outage_why(all, which)) {
		clock_gettime(CLOCK_MONOTONIC, &all->each[which].since);
		all->each[which].times++;
	}
	snprintf(all->each[which].address, sizeof(all->each[which].address), "%s", address);
	snprintf(all->each[which].why, sizeof(all->each[which].why), "%s", why ? why : "");
	return !known;
}

const char *outage_why(const struct outages *all, enum outage which)
{
	return all->each[which].why[0] ? all->each[which].why : NULL;
}

const char *outage_name(enum outage which)
{
	return names[which];
}

enum outage outage_of_file(const char *name)
{
	enum outage which = OUTAGE_SERVERS;

	while (which < OUTAGES && strcmp(names[which], name) != 0)
		which++;
	return which;
}

static json_t *list_of(const struct outages *all, const char *what, enum outage first, enum outage end)
{
	json_t *list = json_array(), *entry;

	for (enum outage i = first; i < end; i++) {
		if (!outage_why(all, i))
			continue;
		entry = json_object();
		put_str(entry, what, names[i]);
		if (i < OUTAGE_SERVERS)
			put_str(entry, "address", all->each[i].address);
		put_str(entry, "why", all->each[i].why);
		put_age(entry, "since_s", &all->each[i].since);
		json_array_append_new(list, entry);
	}
	return list;
}

json_t *outage_listening_json(const struct outages *all)
{
	json_t *list = json_array(), *entry;

	for (enum outage i = 0; i < OUTAGE_SERVERS; i++) {
		if (!all->each[i].address[0] || outage_why(all, i))
			continue;
		entry = json_object();
		put_str(entry, "server", names[i]);
		put_str(entry, "address", all->each[i].address);
		json_array_append_new(list, entry);
	}
	return list;
}

json_t *outage_servers_json(const struct outages *all)
{
	return list_of(all, "server", 0, OUTAGE_SERVERS);
}

json_t *outage_files_json(const struct outages *all)
{
	return list_of(all, "file", OUTAGE_SERVERS, OUTAGES);
}
