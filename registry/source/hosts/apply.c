/*
 * apply.c: brings the registry to what the texts say: so many of them a turn of the event loop, which are one change for
 * whoever waits. A host's node is there before its instances are.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "addr/ip_text.h"
#include "registry/base/text.h"
#include "registry/source/hosts/inside.h"

enum { TURN = 32 };

static void tell_refused(struct hosts *hosts, const char *host, const char *of, const struct reg_err *err)
{
	char line[REG_NODE_MAX + sizeof(err->text) + HOSTS_NAME + 64];

	snprintf(line, sizeof(line), "cluster: host %s: %.255s: %s", host, of, err->text);
	registry_log(hosts->reg, LOG_WARNING, of, line);
}

static bool is_free(struct hosts *hosts, const struct hosts_host *host, const char *name)
{
	return strcmp(name, host->node) == 0 || !registry_node_find(hosts->reg, name);
}

/* With all that runs there, which comes again under another name. */
static void leave_node(struct hosts *hosts, struct hosts_host *host)
{
	struct hosts_key *key, *next;
	struct hosts_place *place;
	struct reg_err err;

	registry_node_del(hosts->reg, host->node, &err);
	host->node[0] = '\0';
	HASH_ITER(hh, host->keys, key, next)
	while ((place = TAILQ_FIRST(&key->places)))
		hosts_place_free(hosts, place);
	host->again = true;
	event_active(hosts->turn, 0, 0);
}

/* The key of a host in the store is its alone, so what it is called there is: another one whose node has that name was
 * there first, and is called by its own from now on. */
static void take_back_name(struct hosts *hosts, const struct hosts_host *host)
{
	struct hosts_host *other, *next;

	if (is_free(hosts, host, host->name))
		return;
	HASH_ITER(hh, hosts->hosts, other, next)
	if (other != host && strcmp(other->node, host->name) == 0) {
		leave_node(hosts, other);
		other->dirty = true;
	}
}

/*
 * The name that it has for itself, unless that is another one's: a host's name in the store, or whatever the registry has
 * already. Then the host's own; and where this daemon's node or a client's has taken that, one that is made of it, since
 * no name that somebody chose may take a host out.
 */
static bool choose_name(struct hosts *hosts, const struct hosts_host *host, char name[REG_NODE_MAX + 1])
{
	const struct hosts_host *whose = hosts_find(hosts, name);

	take_back_name(hosts, host);
	if ((!whose || whose == host) && is_free(hosts, host, name))
		return true;
	snprintf(name, REG_NODE_MAX + 1, "%s", host->name);
	if (!is_free(hosts, host, name))
		snprintf(name, REG_NODE_MAX + 1, "%s-cluster", host->name);
	return is_free(hosts, host, name);
}

/* Is the host there? It is a check of its node, as Consul has it, which holds for all that runs there. */
static void add_serf(const struct hosts_host *host, struct hosts_checks *checks)
{
	hosts_check_add(checks, REG_SERF, "Serf Health Status", host->lost ? REG_CRITICAL : REG_PASSING,
		host->lost ? "Agent not live or unreachable" : "Agent alive and reachable");
}

static void beat_node(struct hosts *hosts, struct hosts_host *host, struct hosts_node *read)
{
	struct hosts_checks *checks = &read->checks;
	const struct reg_node *now;
	struct reg_err err;

	add_serf(host, checks);
	if (registry_node_checks(hosts->reg, host->node, checks->spec, (uint16_t)checks->n, &err) < 0) {
		tell_refused(hosts, host->name, host->node, &err);
		checks->spec[0] = checks->spec[checks->n - 1]; /* whether it is there is known in any case */
		checks->health[0] = checks->health[checks->n - 1];
		checks->output[0] = checks->output[checks->n - 1];
		checks->n = 1;
		registry_node_checks(hosts->reg, host->node, checks->spec, 1, &err);
	}
	for (unsigned i = 0; i < checks->n; i++)
		registry_node_beat(hosts->reg, host->node, checks->spec[i].id, checks->health[i],
			checks->output[i] ? checks->output[i] : "", &err);
	now = registry_node_find(hosts->reg, host->node);
	if (now->drained != read->drained || !text_same(now->reason, read->reason))
		registry_node_drain(hosts->reg, host->node, read->drained, read->reason, &err);
}

/* A host that tells of none has one all the same. */
static void describe(const struct hosts_host *host, struct hosts_node *read)
{
	struct reg_err err;
	struct ip_addr address;

	if (!host->wanted || hosts_read_node(host->wanted, read, &err) < 0) {
		*read = (struct hosts_node){.node = {.source = REG_CLUSTER, .address = "127.0.0.1"}};
		strcpy(read->node.name, host->name);
	}
	if (ip_parse(read->node.address, &address) && ip_is_loopback(address) && !ip_is_none(host->address))
		ip_text(host->address, read->node.address);
}

static void apply_node(struct hosts *hosts, struct hosts_host *host)
{
	struct hosts_node read;
	struct reg_err err = {"its node has a name that another one has"};

	describe(host, &read);
	host->refused = !choose_name(hosts, host, read.node.name);
	if (!host->refused && host->node[0] && strcmp(host->node, read.node.name) != 0)
		leave_node(hosts, host);
	if (!host->refused)
		host->refused = registry_node_put(hosts->reg, &read.node, &err) < 0;
	if (host->refused) {
		tell_refused(hosts, host->name, read.node.name, &err);
		return;
	}
	snprintf(host->node, sizeof(host->node), "%s", read.node.name);
	beat_node(hosts, host, &read);
	host->dirty = false;
}

static struct hosts_place *place_of(
	struct hosts *hosts, struct hosts_key *key, const char *service, const char *id)
{
	char name[REG_SERVICE_MAX + REG_ID_MAX + 2];
	struct hosts_place *place;

	if (snprintf(name, sizeof(name), "%s\n%s", service, id) >= (int)sizeof(name))
		return NULL;
	HASH_FIND_STR(hosts->places, name, place);
	if (place && place->key->host != key->host) /* by the names of their nodes both are called so */
		return NULL;
	if (place && place->key != key) { /* it has moved to another chunk */
		TAILQ_REMOVE(&place->key->places, place, link);
		TAILQ_INSERT_TAIL(&key->places, place, link);
		place->key = key;
	}
	if (place || !share_take(&hosts->room, &key->host->instances, 1))
		return place;
	place = calloc(1, sizeof(*place) + strlen(name) + 1);
	if (!place)
		goto fail;
	strcpy(place->name, name);
	place->id = place->name + strlen(service) + 1;
	place->key = key;
	HASH_ADD_STR(hosts->places, name, place);
	if (!place->hh.tbl)
		goto fail;
	TAILQ_INSERT_TAIL(&key->places, place, link);
	return place;
fail:
	free(place);
	share_give(&hosts->room, &key->host->instances, 1);
	return NULL;
}

static int put(struct hosts *hosts, const struct hosts_instance *read, struct reg_err *err)
{
	const struct hosts_checks *checks = &read->checks;
	struct reg_err ignored;
	int rc = registry_backend_put(hosts->reg, read->service, &read->backend, err);

	for (unsigned i = 0; i < checks->n && !rc; i++)
		registry_backend_beat(hosts->reg, read->service, read->backend.id, checks->spec[i].id,
			checks->health[i], checks->output[i] ? checks->output[i] : "", &ignored);
	return rc;
}

/* One that is new begins as it is, without a change that would be told of; one that is there began as it did. */
static void set_initial(struct hosts *hosts, struct hosts_instance *read)
{
	const struct reg_backend *now = registry_backend_find(hosts->reg, read->service, read->backend.id);
	struct hosts_checks *checks = &read->checks;
	struct reg_result result;

	for (unsigned i = 0; i < checks->n; i++) {
		checks->spec[i].initial = checks->health[i];
		for (unsigned k = 0; now && registry_backend_result(now, k, &result); k++)
			if (text_same(result.check->id, checks->spec[i].id))
				checks->spec[i].initial = result.check->initial;
	}
}

static void apply_instance(struct hosts *hosts, struct hosts_key *key, const json_t *json)
{
	struct hosts_instance read;
	struct hosts_place *place;
	struct reg_err err;
	uint64_t hash = hosts_sum(json);

	if (hosts_read_instance(json, key->host->node, &read, &err) < 0) {
		key->refused++;
		tell_refused(hosts, key->host->name, "an instance", &err);
		return;
	}
	place = place_of(hosts, key, read.service, read.backend.id);
	if (!place) {
		key->refused++;
		return;
	}
	place->seen = true;
	if (place->hash == hash)
		return;
	set_initial(hosts, &read);
	if (put(hosts, &read, &err) == 0) {
		place->hash = hash;
		return;
	}
	key->refused++;
	tell_refused(hosts, key->host->name, read.backend.id, &err);
	if (!place->hash)
		hosts_place_free(hosts, place);
}

static void take_away(struct hosts *hosts, struct hosts_place *place)
{
	char service[REG_SERVICE_MAX + 1];
	const struct reg_backend *backend;
	struct reg_err err;

	snprintf(service, sizeof(service), "%.*s", (int)(place->id - place->name) - 1, place->name);
	backend = registry_backend_find(hosts->reg, service, place->id);
	if (backend && strcmp(backend->source, REG_CLUSTER) == 0)
		registry_backend_del(hosts->reg, service, place->id, &err);
	hosts_place_free(hosts, place);
}

static void apply_key(struct hosts *hosts, struct hosts_key *key)
{
	const json_t *list = json_object_get(key->wanted, "in");
	struct hosts_place *place;

	key->refused = 0;
	TAILQ_FOREACH (place, &key->places, link)
		place->seen = false;
	for (size_t i = 0; i < json_array_size(list); i++)
		apply_instance(hosts, key, json_array_get(list, i));
	json_decref(key->wanted);
	key->wanted = NULL;
}

/* What is no longer in this text, and in no other one of the same turn. */
static void take_away_rest(struct hosts *hosts, struct hosts_key *key)
{
	struct hosts_place *place, *next;

	for (place = TAILQ_FIRST(&key->places); place; place = next) {
		next = TAILQ_NEXT(place, link);
		if (!place->seen)
			take_away(hosts, place);
	}
}

static void apply_keys(struct hosts *hosts)
{
	struct hosts_key *keys[TURN], *key;
	unsigned n = 0;

	while (n < TURN && (key = TAILQ_FIRST(&hosts->changed))) {
		TAILQ_REMOVE(&hosts->changed, key, change);
		key->changed = false;
		if (!key->host->node[0] && !key->gone)
			apply_node(hosts, key->host);
		if (!key->host->node[0] || !(key->wanted || key->gone))
			continue;
		apply_key(hosts, key);
		keys[n++] = key;
	}
	for (unsigned i = 0; i < n; i++)
		take_away_rest(hosts, keys[i]);
}

bool hosts_apply_turn(struct hosts *hosts)
{
	struct hosts_host *host, *next;

	hosts->applies = true;
	registry_batch_begin(hosts->reg);
	HASH_ITER(hh, hosts->hosts, host, next)
	if (host->dirty && (host->wanted || host->keys))
		apply_node(hosts, host);
	apply_keys(hosts);
	hosts_settle(hosts);
	registry_batch_end(hosts->reg);
	hosts->applies = false;
	return !TAILQ_EMPTY(&hosts->changed);
}
