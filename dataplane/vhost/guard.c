#include "dataplane/vhost/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/core/worker.h"
#include "dataplane/vhost/mem.h"

/* Each port has its share: whatever one guest does, none is short of them. */
enum { GUARD_SLOTS = MAX_PORTS * (VHOST_MEM_SLOTS + 1) };

/*
 * Slots are found by address in a signal handler on any thread, so they hold values, not pointers to what may
 * be freed. A slot whose range holds the faulting address cannot be cleared meanwhile: its mapping is in use.
 */
struct slot {
	_Atomic(uintptr_t) start; /* 0: free; written last when set, first when cleared */
	_Atomic(uintptr_t) end;
	_Atomic(bool) *broken;
	int event_fd;
};

static struct slot slots[GUARD_SLOTS];
static _Atomic(int) used; /* slots at and after this one were never set */
static struct sigaction next_action;

static struct slot *find(uintptr_t at)
{
	int n = atomic_load_explicit(&used, memory_order_acquire);

	for (int i = 0; i < n; i++) {
		uintptr_t start = atomic_load_explicit(&slots[i].start, memory_order_acquire);
		uintptr_t end = atomic_load_explicit(&slots[i].end, memory_order_acquire);

		if (start && at >= start && at < end &&
			atomic_load_explicit(&slots[i].start, memory_order_acquire) == start)
			return &slots[i];
	}
	return NULL;
}

/*
 * Not our mapping: the handler that was there before gets it, or the access repeats under the default action.
 */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	if (next_action.sa_flags & SA_SIGINFO)
		next_action.sa_sigaction(sig, info, context);
	else if (next_action.sa_handler != SIG_DFL && next_action.sa_handler != SIG_IGN)
		next_action.sa_handler(sig);
	else
		signal(sig, SIG_DFL);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	uint64_t one = 1;
	struct slot *slot = find((uintptr_t)info->si_addr);
	uintptr_t start;
	size_t len;

	if (!slot) {
		pass_on(sig, info, context);
		return;
	}
	start = atomic_load(&slot->start);
	len = atomic_load(&slot->end) - start;
	if (mmap((void *)start, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		signal(sig, SIG_DFL);
	else if (!atomic_exchange(slot->broken, true) && write(slot->event_fd, &one, sizeof(one)) < 0)
		signal(sig, SIG_DFL); /* control would never hear of it */
	errno = saved;
}

static int install(void)
{
	static bool installed;
	struct sigaction action = {
		.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

	if (installed)
		return 0;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, &next_action) < 0)
		return -errno;
	installed = true;
	return 0;
}

int vhost_guard_set(void *start, size_t len, const struct vhost_guard *guard)
{
	int rc = install();

	if (rc < 0)
		return rc;
	for (int i = 0; i < GUARD_SLOTS; i++) {
		struct slot *slot = &slots[i];

		if (atomic_load_explicit(&slot->start, memory_order_relaxed))
			continue;
		slot->broken = guard->broken;
		slot->event_fd = guard->event_fd;
		atomic_store_explicit(&slot->end, (uintptr_t)start + len, memory_order_release);
		atomic_store_explicit(&slot->start, (uintptr_t)start, memory_order_release);
		if (i >= atomic_load_explicit(&used, memory_order_relaxed))
			atomic_store_explicit(&used, i + 1, memory_order_release);
		return i;
	}
	return -ENOSPC;
}

void vhost_guard_clear(int slot)
{
	if (slot < 0)
		return;
	atomic_store_explicit(&slots[slot].start, 0, memory_order_release);
	atomic_store_explicit(&slots[slot].end, 0, memory_order_release);
}
