#include "control/host/docker_user.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/host/ruleset.h"

#define CHAIN "filter DOCKER-USER"
enum { COMMAND = 160 };

static const char *const families[] = {"ip", "ip6"};
static const char *const keys[] = {"iifname", "oifname"};
enum { FAMILIES = sizeof(families) / sizeof(*families), KEYS = sizeof(keys) / sizeof(*keys) };

/* A rule as ours are: an interface's name, and accept. Iptables' own have a counter between the two. */
struct rule {
	const char *key, *ifname;
	json_int_t handle;
};

static bool read_rule(const json_t *entry, struct rule *rule)
{
	const json_t *own = json_object_get(entry, "rule"), *words = json_object_get(own, "expr");
	const json_t *match = json_object_get(json_array_get(words, 0), "match");
	const json_t *meta = json_object_get(json_object_get(match, "left"), "meta");
	const char *op = json_string_value(json_object_get(match, "op"));

	rule->key = json_string_value(json_object_get(meta, "key"));
	rule->ifname = json_string_value(json_object_get(match, "right"));
	rule->handle = json_integer_value(json_object_get(own, "handle"));
	return rule->key && rule->ifname && json_array_size(words) == 2 && op && strcmp(op, "==") == 0 &&
	       json_object_get(json_array_get(words, 1), "accept");
}

/* The chain as a list of entries, the caller's to free; NULL: this host has none. */
static json_t *list_chain(const char *family)
{
	char command[COMMAND];
	json_t *answer, *entries;

	snprintf(command, sizeof(command), "list chain %s " CHAIN, family);
	answer = ruleset_list(command);
	entries = json_incref(json_object_get(answer, "nftables"));
	json_decref(answer);
	return entries;
}

static bool has(const json_t *entries, const char *key, const char *ifname)
{
	json_t *entry;
	size_t i;

	json_array_foreach ((json_t *)entries, i, entry) {
		struct rule rule;

		if (read_rule(entry, &rule) && strcmp(rule.key, key) == 0 && strcmp(rule.ifname, ifname) == 0)
			return true;
	}
	return false;
}

void docker_user_allow(const char *ifname, FILE *commands)
{
	for (unsigned family = 0; family < FAMILIES; family++) {
		json_t *entries = list_chain(families[family]);

		for (unsigned key = 0; entries && key < KEYS; key++)
			if (!has(entries, keys[key], ifname))
				fprintf(commands, "insert rule %s " CHAIN " %s \"%s\" accept\n",
					families[family], keys[key], ifname);
		json_decref(entries);
	}
}

/* Deletes the rules that are of `ifname`; NULL: those of ours whose interface is gone. */
static void forget(const char *ifname)
{
	for (unsigned family = 0; family < FAMILIES; family++) {
		json_t *entries = list_chain(families[family]), *entry;
		size_t i;

		json_array_foreach (entries, i, entry) {
			char command[COMMAND], why[RULESET_WHY];
			struct rule rule;

			if (!read_rule(entry, &rule) || strncmp(rule.ifname, "sl-", 3) != 0)
				continue;
			if (ifname ? strcmp(rule.ifname, ifname) != 0 : if_nametoindex(rule.ifname) != 0)
				continue;
			snprintf(command, sizeof(command), "delete rule %s " CHAIN " handle %lld",
				families[family], (long long)rule.handle);
			ruleset_run(command, why); /* who has deleted it in the meantime has done the same */
		}
		json_decref(entries);
	}
}

void docker_user_forget(const char *ifname)
{
	forget(ifname);
}

void docker_user_sweep(void)
{
	forget(NULL);
}
