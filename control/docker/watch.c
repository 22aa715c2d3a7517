/*
 * watch.c: events say at once that a container stops, dies, pauses or is unhealthy; for anything else it is inspected. An
 * answer may be older than an event that came meanwhile: then it is asked for again. An answer that does not come, or a
 * list that nobody understands, makes everything begin anew; what nobody understands of one container leaves it as it is.
 */
#include "control/docker/watch.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/docker/container.h"
#include "registry/base/fetch.h"

enum {
	CONTAINERS_MAX = 4096,
	INSPECTING_MAX = 8,
	LIST_MAX = 32 << 20, /* bytes: some 5 KB for each that there may be */
	INSPECT_MAX = 1 << 20,
	EVENT_MAX = 1 << 20, /* has all labels */
	TIMEOUT_MS = 10000,
	RETRY_S = 1,
	SWEEP_S = 15, /* what is being made at the beginning is in Docker's list by then */
};

/* What of networks and containers concerns us, as JSON in a URL. */
#define EVENTS                                                                                               \
	"/events?filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%2C%22event%22%3A%5B%22start%" \
	"22%2C"                                                                                              \
	"%22die%22%2C%22kill%22%2C%22pause%22%2C%22unpause%22%2C%22health_status%22%2C%22rename%22%2C%"      \
	"22destroy%22"                                                                                       \
	"%2C%22connect%22%2C%22disconnect%22%5D%7D"
#define HEALTH "health_status: "

struct entry {
	UT_hash_handle hh; /* by id */
	TAILQ_ENTRY(entry) link;
	struct docker_watch *watch;
	struct fetch *inspect; /* under way */
	bool queued;	       /* to be inspected */
	bool listed, touched;  /* in the last list, or by an event since that was asked for */
	struct docker_container container;
};

TAILQ_HEAD(entries, entry);

struct docker_watch {
	struct docker *docker;
	struct fetcher *fetcher;
	struct fetch *events, *list, *networks;
	struct event *retry, *sweep;
	int64_t begun; /* epoch, ms: since when events come */
	struct entry *table;
	struct entries queue;
	unsigned inspecting;
	bool away, full; /* said already */
};

static void begin(struct docker_watch *watch);
static void begin_again(struct docker_watch *watch, const char *why);
static void pump(struct docker_watch *watch);

static void stop_inspecting(struct entry *entry)
{
	if (entry->queued)
		TAILQ_REMOVE(&entry->watch->queue, entry, link);
	entry->queued = false;
	if (!entry->inspect)
		return;
	fetch_cancel(entry->inspect);
	entry->inspect = NULL;
	entry->watch->inspecting--;
}

static void drop(struct entry *entry, bool clear)
{
	struct docker_watch *watch = entry->watch;

	stop_inspecting(entry);
	if (clear)
		docker_container_clear(watch->docker, &entry->container);
	HASH_DEL(watch->table, entry);
	json_decref(entry->container.check);
	free(entry->container.instances);
	free(entry);
}

static bool is_id(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	return len >= DOCKER_SHORT && len <= DOCKER_ID && strspn(text, "0123456789abcdef") == len;
}

static struct entry *find(struct docker_watch *watch, const char *id)
{
	struct entry *entry = NULL;

	if (is_id(id))
		HASH_FIND_STR(watch->table, id, entry);
	return entry;
}

/* NULL: no id, or one too many. */
static struct entry *find_or_make(struct docker_watch *watch, const char *id)
{
	struct entry *entry = find(watch, id);
	bool full = HASH_COUNT(watch->table) >= CONTAINERS_MAX;

	if (entry || !is_id(id))
		return entry;
	if (full && !watch->full)
		log_line(LOG_WARNING,
			"docker.api: more than %d containers run: the others are no instances of services",
			CONTAINERS_MAX);
	watch->full = full;
	entry = full ? NULL : calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->watch = watch;
	snprintf(entry->container.id, sizeof(entry->container.id), "%s", id);
	snprintf(entry->container.name, sizeof(entry->container.name), "%.12s", id);
	HASH_ADD_STR(watch->table, container.id, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return NULL;
	}
	return entry;
}

static void on_inspected(void *arg, const struct fetch_reply *reply)
{
	struct entry *entry = arg;
	struct docker_watch *watch = entry->watch;
	json_t *json = NULL;

	entry->inspect = NULL;
	watch->inspecting--;
	if (reply->why) {
		begin_again(watch, reply->why);
		return;
	}
	if (reply->code == 200)
		json = json_loadb(reply->body, reply->len, 0, NULL);
	if (json_is_object(json) ? !docker_container_read(watch->docker, &entry->container, json)
				 : reply->code == 404)
		drop(entry, true);
	else if (!json_is_object(json))
		log_line(LOG_WARNING,
			"docker.api: container %.12s: an answer that is none, with HTTP status %ld; what is "
			"known of it stays",
			entry->container.id, reply->code);
	json_decref(json);
	pump(watch);
}

static void pump(struct docker_watch *watch)
{
	struct entry *entry, *next;
	char target[DOCKER_ID + 32];

	for (entry = TAILQ_FIRST(&watch->queue); entry && watch->inspecting < INSPECTING_MAX; entry = next) {
		next = TAILQ_NEXT(entry, link);
		if (entry->inspect) /* once more when that is over */
			continue;
		TAILQ_REMOVE(&watch->queue, entry, link);
		entry->queued = false;
		snprintf(target, sizeof(target), "/containers/%s/json", entry->container.id);
		entry->inspect =
			fetch_get(watch->fetcher, target, INSPECT_MAX, TIMEOUT_MS, on_inspected, entry);
		if (!entry->inspect) {
			begin_again(watch, "out of memory");
			return;
		}
		watch->inspecting++;
	}
}

static void inspect(struct entry *entry)
{
	if (!entry->queued)
		TAILQ_INSERT_TAIL(&entry->watch->queue, entry, link);
	entry->queued = true;
	pump(entry->watch);
}

/* An answer that is under way may be from before. */
static void changed(struct entry *entry)
{
	docker_container_apply(entry->watch->docker, &entry->container);
	if (entry->inspect)
		inspect(entry);
}

static void on_kill(struct entry *entry, const json_t *attributes)
{
	const char *text = param_str(attributes, "signal");
	int number = text ? atoi(text) : 0;

	if (number != entry->container.stop_signal && number != SIGKILL && entry->container.stop_signal)
		return;
	entry->container.stopping = true;
	changed(entry);
}

static void on_pause(struct entry *entry, const json_t *attributes)
{
	entry->container.paused = true;
	changed(entry);
}

static void on_unpause(struct entry *entry, const json_t *attributes)
{
	entry->container.paused = false;
	changed(entry);
}

/* Whatever Docker calls it. */
static void on_health(struct entry *entry, const char *health)
{
	snprintf(entry->container.health, sizeof(entry->container.health), "%.15s", health);
	changed(entry);
}

static void on_die(struct entry *entry, const json_t *attributes)
{
	drop(entry, true);
}

static void on_other(struct entry *entry, const json_t *attributes)
{
	inspect(entry);
}

static void on_start(struct entry *entry, const json_t *attributes)
{
	entry->container.stopping = false;
	inspect(entry);
}

/* clang-format off */
static const struct {
	const char *action;
	bool makes; /* one that is not known yet */
	void (*fn)(struct entry *entry, const json_t *attributes);
} actions[] = {
	{"start", true, on_start},
	{"rename", false, on_other},
	{"kill", false, on_kill},
	{"die", false, on_die},
	{"destroy", false, on_die},
	{"pause", false, on_pause},
	{"unpause", false, on_unpause},
	{"connect", false, on_other},
	{"disconnect", false, on_other},
};
/* clang-format on */

static void on_event(struct docker_watch *watch, const char *action, const char *id, const json_t *attributes)
{
	struct entry *entry;

	if (strncmp(action, HEALTH, strlen(HEALTH)) == 0) {
		entry = find(watch, id);
		if (entry)
			on_health(entry, action + strlen(HEALTH));
		return;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].action, action) != 0)
			continue;
		entry = actions[i].makes ? find_or_make(watch, id) : find(watch, id);
		if (entry) {
			entry->touched = true;
			actions[i].fn(entry, attributes);
		}
	}
}

/* What is not understood is left out: Docker may say other things one day. */
static void on_line(void *arg, const char *text, size_t len)
{
	struct docker_watch *watch = arg;
	json_t *json = json_loadb(text, len, 0, NULL);
	const json_t *actor = json_object_get(json, "Actor"),
		     *attributes = json_object_get(actor, "Attributes");
	const char *type = param_str(json, "Type"), *action = param_str(json, "Action");

	if (type && action)
		on_event(watch, action,
			strcmp(type, "network") == 0 ? param_str(attributes, "container")
						     : param_str(actor, "ID"),
			attributes);
	json_decref(json);
}

/* Those that are not in the list any more leave their places to those that are new. */
static void drop_unlisted(struct docker_watch *watch, const json_t *list)
{
	struct entry *entry, *next;
	json_t *one;
	size_t i;

	json_array_foreach ((json_t *)list, i, one) {
		entry = find(watch, param_str(one, "Id"));
		if (entry)
			entry->listed = true;
	}
	HASH_ITER(hh, watch->table, entry, next)
	if (!entry->listed && !entry->touched)
		drop(entry, true);
}

static void on_list(void *arg, const struct fetch_reply *reply)
{
	struct docker_watch *watch = arg;
	json_t *list = reply->code == 200 && !reply->why ? json_loadb(reply->body, reply->len, 0, NULL)
							 : NULL,
	       *one;
	struct entry *entry;
	size_t i;

	watch->list = NULL;
	if (!json_is_array(list)) {
		json_decref(list);
		begin_again(watch, reply->why ? reply->why : "a list that is none");
		return;
	}
	drop_unlisted(watch, list);
	json_array_foreach (list, i, one) {
		entry = find_or_make(watch, param_str(one, "Id"));
		if (!entry)
			continue;
		entry->listed = true;
		if (!entry->queued)
			TAILQ_INSERT_TAIL(&watch->queue, entry, link);
		entry->queued = true;
	}
	json_decref(list);
	pump(watch);
}

static void on_networks(void *arg, const struct fetch_reply *reply)
{
	struct docker_watch *watch = arg;
	json_t *list =
		reply->code == 200 && !reply->why ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;

	watch->networks = NULL;
	if (json_is_array(list))
		docker_drop_forgotten(watch->docker, list, watch->begun);
	else
		begin_again(watch, reply->why ? reply->why : "a list of networks that is none");
	json_decref(list);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct docker_watch *watch = arg;

	watch->networks = fetch_get(watch->fetcher, "/networks", LIST_MAX, TIMEOUT_MS, on_networks, watch);
	if (!watch->networks)
		begin_again(watch, "out of memory");
}

/* From here on nothing is missed: so what there is now is asked for. */
static void on_begun(void *arg)
{
	static const struct timeval later = {.tv_sec = SWEEP_S};
	struct docker_watch *watch = arg;
	struct entry *entry, *next;

	watch->begun = docker_now_ms();
	evtimer_add(watch->sweep, &later);
	if (watch->away)
		log_line(LOG_NOTICE, "docker.api: it is back");
	watch->away = false;
	HASH_ITER(hh, watch->table, entry, next)
	entry->listed = entry->touched = false;
	watch->list = fetch_get(watch->fetcher, "/containers/json", LIST_MAX, TIMEOUT_MS, on_list, watch);
	if (!watch->list)
		begin_again(watch, "out of memory");
}

static void on_end(void *arg, const struct fetch_reply *reply)
{
	struct docker_watch *watch = arg;
	char code[32];

	watch->events = NULL;
	snprintf(code, sizeof(code), "HTTP status %ld", reply->code);
	begin_again(watch, reply->why ? reply->why : reply->code != 200 ? code : "it hung up");
}

static void begin_again(struct docker_watch *watch, const char *why)
{
	static const struct timeval pause = {.tv_sec = RETRY_S};
	struct entry *entry, *next;

	if (!watch->away)
		log_line(LOG_WARNING,
			"docker.api: %s; names and health of containers stay as they are, and it is tried "
			"each second",
			why);
	watch->away = true;
	HASH_ITER(hh, watch->table, entry, next)
	stop_inspecting(entry);
	fetch_cancel(watch->list);
	fetch_cancel(watch->networks);
	fetch_cancel(watch->events);
	watch->list = watch->networks = watch->events = NULL;
	evtimer_del(watch->sweep);
	evtimer_add(watch->retry, &pause);
}

static void begin(struct docker_watch *watch)
{
	watch->events = fetch_lines(watch->fetcher, EVENTS, EVENT_MAX, on_begun, on_line, on_end, watch);
	if (!watch->events)
		begin_again(watch, "out of memory");
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	begin(arg);
}

struct docker_watch *docker_watch_open(struct docker *docker, const char *path)
{
	struct docker_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->docker = docker;
	TAILQ_INIT(&watch->queue);
	watch->fetcher = fetch_open(docker->base, path);
	watch->retry = evtimer_new(docker->base, on_retry, watch);
	watch->sweep = evtimer_new(docker->base, on_sweep, watch);
	if (!watch->fetcher || !watch->retry || !watch->sweep) {
		docker_watch_close(watch);
		return NULL;
	}
	begin(watch);
	return watch;
}

void docker_watch_close(struct docker_watch *watch)
{
	struct entry *entry, *next;

	if (!watch)
		return;
	HASH_ITER(hh, watch->table, entry, next)
	drop(entry, false);
	fetch_close(watch->fetcher);
	if (watch->retry)
		event_free(watch->retry);
	if (watch->sweep)
		event_free(watch->sweep);
	free(watch);
}
