#include "control/global/global.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/global/inside.h"
#include "registry/store/journal.h"

/* Beside the prefix of what hosts say of themselves: so a role of etcd's can let hosts read it and not write. */
#define BESIDE "-global/"

enum { AGAIN_S = 10, ANEW_S = 60 };

static int on_open(void *arg, struct api_err *err)
{
	return global_restore(arg, err);
}

static void on_made(void *arg, const char *noun)
{
	for (unsigned i = 0; i < GLOBAL_KINDS; i++)
		if (strcmp(global_kinds[i].noun, noun) == 0)
			global_apply_kind(arg, i);
}

static const struct global_object *find(const struct global *global, const char *noun, const char *name)
{
	char key[GLOBAL_KEY];

	for (unsigned i = 0; i < GLOBAL_KINDS; i++) {
		if (strcmp(global_kinds[i].noun, noun) != 0 || strlen(name) >= MODEL_NAME)
			continue;
		snprintf(key, sizeof(key), "%s/%s", global_kinds[i].folder, name);
		return global_find(global, key);
	}
	return NULL;
}

static int64_t on_revision(const void *arg, const char *noun, const char *name)
{
	const struct global_object *object = find(arg, noun, name);

	return object ? object->mod : 0;
}

/* All is read, and then followed. -1: no memory. */
static int follow(struct global *global)
{
	char *at = NULL;
	struct etcd_follow_config config = {.base = global->base,
		.etcd = global->etcd,
		.prefix = global->prefix,
		.follower = &global_follower,
		.arg = global};

	if (asprintf(&at, "%sat", global->prefix) < 0)
		return -1;
	config.last = at;
	etcd_follow_close(global->follow);
	global->follow = etcd_follow(&config);
	free(at);
	return global->follow ? 0 : -1;
}

/* Each second. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct global *global = arg;

	global->ticks++;
	global_jobs_tick(global);
	global_mend_tick(global);
	if (global->retry || global->ticks % AGAIN_S == 0)
		global_apply_again(global);
	global->retry = false;
	if (global->follow && global->room_freed && global->no_room && global->ticks % ANEW_S == 0)
		follow(global);
}

struct global *global_open(struct event_base *base, struct model *model, const char *dir)
{
	static const struct timeval second = {.tv_sec = 1};
	struct global *global = calloc(1, sizeof(*global));

	if (!global)
		return NULL;
	global->base = base;
	global->model = model;
	TAILQ_INIT(&global->jobs);
	global->scope =
		(struct scope_global){global, on_open, on_made, global_change, global_changes, on_revision};
	global->dir = strdup(dir);
	global->turn = evtimer_new(base, global_apply_turn, global);
	global->tick = event_new(base, -1, EV_PERSIST, on_tick, global);
	if (global->dir && global->turn && global->tick && global_mend_open(global) == 0 &&
		event_add(global->tick, &second) == 0) {
		scope_attach(model, &global->scope);
		return global;
	}
	global_close(global);
	return NULL;
}

struct global *global_of(const struct model *model)
{
	return model->global ? model->global->arg : NULL;
}

int global_join(struct global *global, const struct global_store *store)
{
	global->etcd = store->etcd;
	snprintf(global->host, sizeof(global->host), "%s", store->host);
	snprintf(global->why, sizeof(global->why), "not asked yet");
	if (asprintf(&global->prefix, "%s" BESIDE, store->prefix) < 0)
		global->prefix = NULL;
	global->ports_prefix = strdup(store->ports);
	return global->prefix && global->ports_prefix ? follow(global) : -1;
}

void global_leave(struct global *global)
{
	if (!global)
		return;
	global_jobs_end(global);
	etcd_cancel(global->mend_op);
	global->mend_op = NULL;
	etcd_follow_close(global->follow);
	global->follow = NULL;
	global->etcd = NULL;
}

void global_close(struct global *global)
{
	if (!global)
		return;
	global_leave(global);
	if (global_of(global->model) == global)
		scope_attach(global->model, NULL);
	for (struct event **event = (struct event *[]){global->turn, global->tick, global->mend, NULL};
		*event; event++)
		event_free(*event);
	global_free_objects(global);
	journal_close(global->journal);
	free(global->prefix);
	free(global->ports_prefix);
	free(global->dir);
	free(global);
}

void global_changed(struct global *global)
{
	if (global && !global->applying)
		global->retry = true;
}
