/* view_read.c: what a key is of, and what its value says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cluster/view.h"

#define HOSTS "hosts/"
#define IPAM "ipam/"

/* The name that ends with the next slash; what follows that, NULL: it is no name. */
static const char *read_name(const char *at, char name[VALUE_NAME])
{
	const char *slash = strchr(at, '/');

	if (!slash || slash == at || slash - at >= VALUE_NAME)
		return NULL;
	snprintf(name, VALUE_NAME, "%.*s", (int)(slash - at), at);
	return slash + 1;
}

const char *view_network_of(const char *key, char name[VALUE_NAME])
{
	return strncmp(key, VIEW_NET, strlen(VIEW_NET)) == 0 ? read_name(key + strlen(VIEW_NET), name) : NULL;
}

const char *view_split(const char *key, char name[VALUE_NAME])
{
	if (strncmp(key, HOSTS, strlen(HOSTS)) == 0)
		return read_name(key + strlen(HOSTS), name);
	key = view_network_of(key, name);
	return key ? read_name(key, name) : NULL;
}

static void read_record(struct view_key *key, int64_t now_ms)
{
	struct view_host *host = key->host;
	struct value_host record;

	if (value_read_host(key->value, key->len, &record, &key->why) < 0)
		return;
	host->record = record;
	host->record_key = key;
	host->known = true;
	if (host->lost_ms)
		host->back_ms = now_ms;
	host->lost_ms = 0;
}

static void read_alive(struct view_key *key, int64_t now_ms)
{
	struct view_host *host = key->host;

	if (value_read_alive(key->value, key->len, host->alive_id, &key->why) < 0)
		return;
	if (!host->alive_key)
		host->since_ms = now_ms;
	host->alive_key = key;
}

static void take_chunk(struct view_key *key, struct value_chunk *chunk)
{
	if (strcmp(key->part->network, chunk->network) != 0) {
		key->why = "network: not that of its key";
		free(chunk);
		return;
	}
	free(key->chunk);
	key->chunk = chunk;
}

static void read_ask(struct view_key *key, const char *place)
{
	struct block_ask *ask = block_ask_read(key->value, key->len, place, &key->why);

	if (!ask)
		return;
	free(key->ask);
	key->ask = ask;
	key->answered = false;
}

/* Keys that are of no host. */
static void read_shared(struct view_key *key)
{
	struct block_value *block;

	if (strncmp(key->key, IPAM, strlen(IPAM)) != 0) {
		key->why = "no key that is known";
		return;
	}
	block = block_read(key->value, key->len, key->key + strlen(IPAM), &key->why);
	if (!block)
		return;
	free(key->block);
	key->block = block;
}

/* Keys of networks; `rest`: the number of a chunk. */
static void read_of_network(struct view_key *key, const char *rest)
{
	struct value_chunk *chunk;

	if (!rest || !rest[0] || rest[strspn(rest, "0123456789")]) {
		key->why = "no key that is known";
		return;
	}
	chunk = value_read_chunk(key->value, key->len, &key->why);
	if (chunk)
		take_chunk(key, chunk);
}

/* A value that is not understood leaves what was known before: of a later version, it may say more of the same. */
void view_read(struct view_key *key, int64_t now_ms)
{
	char name[VALUE_NAME];
	const char *rest = view_split(key->key, name);

	key->why = NULL;
	if (key->part->network[0])
		read_of_network(key, rest);
	else if (!rest)
		read_shared(key);
	else if (strcmp(rest, "host") == 0)
		read_record(key, now_ms);
	else if (strcmp(rest, "alive") == 0)
		read_alive(key, now_ms);
	else if (key->registered)
		return; /* view->changed() reads it */
	else if (strncmp(rest, "ask/", 4) == 0)
		read_ask(key, rest + strlen("ask/"));
	else
		key->why = "no key that is known";
}
