#include "dataplane/core/path_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { EVENTS = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR };

struct path_watches {
	LIST_HEAD(, path_watch) head;
	const struct dp_loop *loop;
	int fd;
	void *loop_watch;
};

/* Cuts the last component off. False when nothing is left to cut. */
static bool cut(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || !path[1])
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return true;
}

/*
 * Watches the directory that `path` lies in, or the nearest above that is there. A missing one may be made
 * while its parent is being added, so that is done until two rounds find the same. Returns a watch descriptor.
 */
static int watch_nearest(const struct path_watches *all, const char *path)
{
	int wd = -1, before;

	do {
		char dir[PATH_MAX];

		before = wd;
		strncpy(dir, path, sizeof(dir) - 1);
		dir[sizeof(dir) - 1] = '\0';
		do {
			if (!cut(dir))
				strcpy(dir, ".");
			wd = inotify_add_watch(all->fd, dir, EVENTS);
		} while (wd < 0 && (errno == ENOENT || errno == ENOTDIR) && strcmp(dir, ".") != 0);
	} while (wd >= 0 && wd != before);
	return wd < 0 ? -errno : wd;
}

static bool is_used(const struct path_watches *all, int wd)
{
	const struct path_watch *watch;

	LIST_FOREACH (watch, &all->head, link)
		if (watch->wd == wd)
			return true;
	return false;
}

/* Does the event concern the watch? In a directory above the path's own, any event may. */
static bool concerns(const struct path_watch *watch, const struct inotify_event *event)
{
	const char *name = strrchr(watch->path, '/');

	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (watch->wd != event->wd)
		return false;
	name = name ? name + 1 : watch->path;
	return !event->len || (event->mask & IN_ISDIR) || strcmp(event->name, name) == 0;
}

static void note(struct path_watches *all, const struct inotify_event *event)
{
	struct path_watch *watch;

	LIST_FOREACH (watch, &all->head, link)
		watch->due |= concerns(watch, event);
}

static struct path_watch *next_due(struct path_watches *all)
{
	struct path_watch *watch;

	LIST_FOREACH (watch, &all->head, link)
		if (watch->due)
			return watch;
	return NULL;
}

static void move(struct path_watches *all, struct path_watch *watch)
{
	int before = watch->wd;

	watch->wd = watch_nearest(all, watch->path);
	if (watch->wd != before && before >= 0 && !is_used(all, before))
		inotify_rm_watch(all->fd, before);
}

/* The descriptor is read first and the watches called then: what they do may end any of them. */
static void on_events(void *arg, unsigned events)
{
	_Alignas(struct inotify_event) char buffer[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	struct path_watches *all = arg;
	struct path_watch *watch;
	ssize_t n = read(all->fd, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		note(all, event);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	while ((watch = next_due(all))) {
		bool last = LIST_NEXT(LIST_FIRST(&all->head), link) == NULL;

		watch->due = false;
		move(all, watch);
		watch->fn(watch->arg);
		if (last)
			break; /* it may have been deleted, and `all` with it */
	}
}

/* NULL, and errno says why. */
static struct path_watches *open_all(const struct dp_loop *loop)
{
	struct path_watches *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	LIST_INIT(&all->head);
	all->loop = loop;
	all->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (all->fd < 0)
		goto fail;
	all->loop_watch = loop->fd_add(loop->ctx, all->fd, DP_READ, on_events, all);
	if (all->loop_watch)
		return all;
	close(all->fd);
	errno = ENOMEM;
fail:
	free(all);
	return NULL;
}

static void close_unused(struct path_watches **all)
{
	struct path_watches *a = *all;

	if (!LIST_EMPTY(&a->head))
		return;
	a->loop->fd_del(a->loop->ctx, a->loop_watch);
	close(a->fd);
	free(a);
	*all = NULL;
}

int path_watch_add(struct path_watches **all, const struct dp_loop *loop, struct path_watch *watch)
{
	if (!*all)
		*all = open_all(loop);
	if (!*all)
		return -errno;
	watch->due = false;
	watch->wd = watch_nearest(*all, watch->path);
	if (watch->wd < 0) {
		close_unused(all);
		return watch->wd;
	}
	LIST_INSERT_HEAD(&(*all)->head, watch, link);
	return 0;
}

void path_watch_del(struct path_watches **all, struct path_watch *watch)
{
	LIST_REMOVE(watch, link);
	if (watch->wd >= 0 && !is_used(*all, watch->wd))
		inotify_rm_watch((*all)->fd, watch->wd);
	close_unused(all);
}
