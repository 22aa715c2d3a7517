/*
 * own.c: what this daemon tells of its instances. Each stays in the chunk that it was put in, so that one that changes
 * changes one text. All are looked at after a commit of the registry, so often a second at most; those that are as they
 * were cost a comparison.
 *
 * Who flaps is told as ill at once, and as well again only when it has held for a while: each change adds FLAP_MS, which
 * goes by as time does, and above FLAPS of them what is better waits.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/base/wheel.h"
#include "registry/source/hosts/inside.h"

enum {
	READ_MS = 100, /* between two looks */
	SHARE = 20,    /* of the time, at most, goes to them */
	WAIT_MS = 1000,
	FLAP_MS = 10000,
	FLAPS = 5,
	CHUNK_LEN = 48 << 10,	 /* bytes of a chunk's texts */
	INSTANCE_LEN = 40 << 10, /* of one */
};

static int64_t now_ms(void)
{
	return (int64_t)(wheel_now_us() / 1000);
}

/* Or sooner, if that was due already: one that is waited for delays nobody else. */
static void look_after(struct hosts *hosts, int64_t ms)
{
	const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	int64_t due_ms = now_ms() + ms;

	if (event_pending(hosts->own_turn, EV_TIMEOUT, NULL) && hosts->due_ms <= due_ms)
		return;
	hosts->due_ms = due_ms;
	event_add(hosts->own_turn, &pause);
}

static void on_commit(void *arg, const char *service, uint64_t generation)
{
	struct hosts *hosts = arg;
	int64_t pause = hosts->next_ms - now_ms();

	look_after(hosts, pause > 0 ? pause : 0);
}

static void spoil(struct hosts *hosts, unsigned chunk)
{
	free(hosts->chunks[chunk].text);
	hosts->chunks[chunk].text = NULL;
}

static void leave_chunk(struct hosts *hosts, struct hosts_own *own)
{
	if (!own->json)
		return;
	hosts->chunks[own->chunk].n--;
	hosts->chunks[own->chunk].len -= own->len;
	spoil(hosts, own->chunk);
	json_decref(own->json);
	own->json = NULL;
}

static bool has_room(const struct hosts_chunk *chunk, size_t len)
{
	return chunk->n < HOSTS_CHUNK && chunk->len + len <= CHUNK_LEN;
}

/* Into the chunk that it was in, or the first with room. Takes `json` over. */
static bool enter_chunk(struct hosts *hosts, struct hosts_own *own, json_t *json, size_t len)
{
	unsigned chunk = own->chunk;

	if (!has_room(&hosts->chunks[chunk], len))
		for (chunk = 0; chunk < HOSTS_CHUNKS && !has_room(&hosts->chunks[chunk], len);)
			chunk++;
	if (chunk == HOSTS_CHUNKS) {
		json_decref(json);
		return false;
	}
	own->chunk = chunk;
	own->json = json;
	own->len = len;
	hosts->chunks[chunk].n++;
	hosts->chunks[chunk].len += len;
	spoil(hosts, chunk);
	return true;
}

static size_t len_of(const json_t *json)
{
	return json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
}

/*
 * As much of it as has room: what checks say is left out first. NULL and why: others would refuse it, and with it all that is
 * in the same text.
 */
static json_t *text_of(struct hosts *hosts, const char *service, const struct reg_backend *backend,
	size_t *len, struct reg_err *why)
{
	json_t *json = hosts_write_instance(service, backend, true);
	struct hosts_instance read;

	*len = len_of(json);
	if (*len > INSTANCE_LEN) {
		json_decref(json);
		json = hosts_write_instance(service, backend, false);
		*len = len_of(json);
	}
	if (!*len || *len > INSTANCE_LEN)
		snprintf(why->text, sizeof(why->text), "it says too much of itself");
	else if (hosts_read_instance(json, registry_node_find(hosts->reg, "")->name, &read, why) == 0)
		return json;
	json_decref(json);
	return NULL;
}

static void tell(
	struct hosts *hosts, struct hosts_own *own, const char *service, const struct reg_backend *backend)
{
	struct reg_err why = {"there are too many"};
	char line[2 * REG_ID_MAX + sizeof(why.text) + 128];
	size_t len;
	json_t *json = text_of(hosts, service, backend, &len, &why);

	leave_chunk(hosts, own);
	if (json && enter_chunk(hosts, own, json, len))
		return;
	snprintf(line, sizeof(line), "cluster: instance %.200s of %.200s is not told to other hosts: %s",
		backend->id, service, why.text);
	registry_log(hosts->reg, LOG_WARNING, backend->id, line);
}

static struct hosts_own *own_of(struct hosts *hosts, const char *service, const struct reg_backend *backend)
{
	char name[REG_SERVICE_MAX + REG_ID_MAX + 2];
	struct hosts_own *own;

	snprintf(name, sizeof(name), "%s\n%s", service, backend->id);
	HASH_FIND_STR(hosts->owns, name, own);
	if (own)
		return own;
	own = calloc(1, sizeof(*own) + strlen(name) + 1);
	if (!own)
		return NULL;
	strcpy(own->name, name);
	own->health = backend->health;
	HASH_ADD_STR(hosts->owns, name, own);
	if (own->hh.tbl)
		return own;
	free(own);
	return NULL;
}

static void own_free(struct hosts *hosts, struct hosts_own *own)
{
	leave_chunk(hosts, own);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the table no more */
	HASH_DEL(hosts->owns, own);
	free(own);
}

/* Is what is better than it was to wait? A drain is meant, and never waits. */
static bool waits(struct hosts_own *own, enum reg_health health)
{
	int64_t now = now_ms(), passed = now - own->flapped_ms;
	bool meant = health == REG_DRAINING || own->health == REG_DRAINING;

	own->flaps_ms = own->flaps_ms > passed ? own->flaps_ms - passed : 0;
	own->flapped_ms = now;
	if (health == own->health || meant)
		return false;
	if (health < own->health && own->flaps_ms > (int64_t)FLAPS * FLAP_MS)
		return true;
	own->flaps_ms += FLAP_MS;
	return false;
}

struct look {
	struct hosts *hosts;
	bool changed, again;
};

static bool look_at(void *arg, const char *service, const struct reg_backend *backend)
{
	struct look *look = arg;
	struct hosts *hosts = look->hosts;
	uint64_t revision = registry_backend_revision(hosts->reg, backend), sum;
	struct hosts_own *own;
	json_t *json;

	if (reg_backend_node(backend)[0] || registry_source_is_everywhere(hosts->reg, backend->source))
		return true;
	own = own_of(hosts, service, backend);
	if (!own)
		return true;
	own->seen = true;
	if (own->revision == revision && !own->withheld)
		return true;
	own->revision = revision;
	json = hosts_write_instance(service, backend, false);
	sum = hosts_sum(json);
	json_decref(json);
	if (own->sum == sum && !own->withheld)
		return true;
	own->withheld = waits(own, backend->health);
	look->again = look->again || own->withheld;
	if (own->withheld || own->sum == sum)
		return true;
	own->sum = sum;
	own->health = backend->health;
	tell(hosts, own, service, backend);
	look->changed = true;
	return true;
}

/* The node as text; NULL and why: others would refuse it. */
static char *node_text(struct hosts *hosts, bool said, struct reg_err *why)
{
	json_t *json = hosts_write_node(hosts->reg, said);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	struct hosts_node read;
	bool fits = text && strlen(text) <= HOSTS_TEXT;

	if (!fits)
		snprintf(why->text, sizeof(why->text), "it says too much of itself");
	if (!fits || hosts_read_node(json, &read, why) < 0) {
		free(text);
		text = NULL;
	}
	json_decref(json);
	return text;
}

static bool look_at_node(struct hosts *hosts)
{
	json_t *json = hosts_write_node(hosts->reg, false);
	uint64_t sum = hosts_sum(json);
	struct reg_err why;
	char *text, line[sizeof(why.text) + 128];

	json_decref(json);
	if (sum == hosts->node_sum)
		return false;
	text = node_text(hosts, true, &why);
	if (!text)
		text = node_text(hosts, false, &why);
	if (!text) {
		hosts->node_sum = sum;
		snprintf(line, sizeof(line), "cluster: the node is told to other hosts as it was before: %s",
			why.text);
		registry_log(hosts->reg, LOG_WARNING, "cluster", line);
		return false;
	}
	free(hosts->node_text);
	hosts->node_text = text;
	hosts->node_sum = sum;
	return true;
}

/* True: something is another than it was. */
static bool look_at_all(struct hosts *hosts)
{
	struct look look = {.hosts = hosts};
	struct reg_cursor at = {0};
	struct hosts_own *own, *next;
	int64_t begin = now_ms(), took;

	hosts->untold = 0;
	HASH_ITER(hh, hosts->owns, own, next)
	own->seen = false;
	look.changed = look_at_node(hosts);
	registry_instances(hosts->reg, &at, look_at, &look);
	HASH_ITER(hh, hosts->owns, own, next)
	{
		hosts->untold += own->seen && !own->json;
		if (own->seen)
			continue;
		own_free(hosts, own);
		look.changed = true;
	}
	took = now_ms() - begin;
	hosts->next_ms = begin + (took * SHARE > READ_MS ? took * SHARE : READ_MS);
	if (look.again)
		look_after(hosts, WAIT_MS);
	return look.changed;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct hosts *hosts = arg;

	if (look_at_all(hosts))
		hosts->told(hosts->arg);
}

/* All chunks that have no text get theirs. */
static void write_chunks(struct hosts *hosts)
{
	json_t *lists[HOSTS_CHUNKS] = {NULL};
	struct hosts_own *own, *next;

	HASH_ITER(hh, hosts->owns, own, next)
	{
		if (!own->json || hosts->chunks[own->chunk].text)
			continue;
		if (!lists[own->chunk])
			lists[own->chunk] = json_array();
		json_array_append(lists[own->chunk], own->json);
	}
	for (unsigned i = 0; i < HOSTS_CHUNKS; i++) {
		json_t *object =
			lists[i] ? json_pack("{s:i, s:o}", "v", HOSTS_VERSION, "in", lists[i]) : NULL;

		if (object)
			hosts->chunks[i].text = json_dumps(object, JSON_COMPACT);
		json_decref(object);
	}
}

void hosts_own(struct hosts *hosts, void (*fn)(void *arg, const char *key, const char *text), void *arg)
{
	char key[HOSTS_KEY];

	write_chunks(hosts);
	if (hosts->node_text)
		fn(arg, "node", hosts->node_text);
	for (unsigned i = 0; i < HOSTS_CHUNKS; i++) {
		if (!hosts->chunks[i].text)
			continue;
		snprintf(key, sizeof(key), "in/%u", i);
		fn(arg, key, hosts->chunks[i].text);
	}
}

int hosts_own_open(struct hosts *hosts)
{
	hosts->own_turn = evtimer_new(hosts->base, on_turn, hosts);
	hosts->watch = registry_watch(hosts->reg, REG_WATCH_ANY, on_commit, hosts);
	if (!hosts->own_turn || !hosts->watch)
		return -ENOMEM;
	look_at_all(hosts);
	return 0;
}

void hosts_own_close(struct hosts *hosts)
{
	struct hosts_own *own, *next;

	registry_unwatch(hosts->watch);
	if (hosts->own_turn)
		event_free(hosts->own_turn);
	HASH_ITER(hh, hosts->owns, own, next)
	own_free(hosts, own);
	for (unsigned i = 0; i < HOSTS_CHUNKS; i++)
		free(hosts->chunks[i].text);
	free(hosts->node_text);
}
