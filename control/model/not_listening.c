#include "control/model/not_listening.h"

#include <stdio.h>
#include <string.h>

#include "control/base/result.h"

static const char *const names[NOT_LISTENING_SERVERS] = {"http", "dns"};

bool not_listening_set(
	struct not_listening *all, enum not_listening_server server, const char *address, const char *why)
{
	char before[sizeof(all->servers[server].why)];

	memcpy(before, all->servers[server].why, sizeof(before));
	if (why && !before[0])
		clock_gettime(CLOCK_MONOTONIC, &all->servers[server].since);
	snprintf(all->servers[server].address, sizeof(all->servers[server].address), "%s", address);
	snprintf(all->servers[server].why, sizeof(all->servers[server].why), "%s", why ? why : "");
	return strcmp(all->servers[server].why, before) != 0;
}

const char *not_listening_name(enum not_listening_server server)
{
	return names[server];
}

bool not_listening_is(const struct not_listening *all, enum not_listening_server server)
{
	return all->servers[server].why[0] != '\0';
}

json_t *not_listening_json(const struct not_listening *all)
{
	json_t *list = json_array(), *entry;

	for (unsigned i = 0; i < NOT_LISTENING_SERVERS; i++) {
		if (!not_listening_is(all, i))
			continue;
		entry = json_object();
		put_str(entry, "server", names[i]);
		put_str(entry, "address", all->servers[i].address);
		put_str(entry, "why", all->servers[i].why);
		put_age(entry, "since_s", &all->servers[i].since);
		json_array_append_new(list, entry);
	}
	return list;
}
