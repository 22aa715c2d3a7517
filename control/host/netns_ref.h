/*
 * netns_ref.h: which network namespace a port's `netns` means. Control thread.
 *
 * A name or a path is looked up anew each time, for the namespace may be made later, or made again. An entry
 * of /proc, also behind a symbolic link, is different: it names a process by a number that another process
 * may get when that one ends. So it is looked up once, and the process is held by a pidfd from then on. A
 * pidfd keeps nothing alive, and never means another process.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* All zero: nothing is held yet. */
struct netns_ref {
	pid_t pid; /* 0: no entry of /proc */
	int pidfd; /* with a pid; -1: the process is not known for certain */
};

enum { NETNS_REF_WHY = 160 };

/**
 * Opens the namespace that `text` means. `first`: the user has just said it, so that an entry of /proc is that
 * of the process which has the number now; without, only one that is held is opened. Returns a descriptor, or
 * -errno and a line in `why`: -ENOENT (not there yet), -ESRCH (the process has ended or is not known: it
 * never comes), -EINVAL (no namespace, no name for one).
 */
int netns_ref_open(struct netns_ref *ref, const char *text, bool first, char why[NETNS_REF_WHY]);

void netns_ref_close(struct netns_ref *ref);
