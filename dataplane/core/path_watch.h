/*
 * path_watch.h: says when a file appears, by inotify(7), so that nobody polls for it. All watches share one
 * inotify descriptor, which is open while there are any. Where the directory is missing too, the nearest one
 * above it is watched. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "dataplane/dataplane.h"

struct path_watches;

/* One of them; lies in its owner, who writes the first three. */
struct path_watch {
	const char *path; /* valid until it is deleted */
	/* Something happened at `path`, or on the way to it. It may delete its own watch, but no other. */
	void (*fn)(void *arg);
	void *arg;
	/* path_watch.c's */
	LIST_ENTRY(path_watch) link;
	int wd; /* of the directory that is watched */
	bool due;
};

/**
 * Begins to watch. `*all` is NULL before the first watch and after the last. A file that is there already is
 * not reported. -ENOSPC (fs.inotify.max_user_watches), -EMFILE (max_user_instances), -ENOMEM.
 */
int path_watch_add(struct path_watches **all, const struct dp_loop *loop, struct path_watch *watch);

/** Ends it. */
void path_watch_del(struct path_watches **all, struct path_watch *watch);
