#include "bench/peer/null.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "bench/front/front.h"
#include "bench/host/host.h"

enum {
	BURST = 32,
	PATIENCE_US = 50, /* a thread that may sleep does so when nothing has come for this long */
	SLEEP_MS = 10,
};

struct null_switch {
	struct front_ring *in[2],
		*out[2]; /* in[i] is transmitted by front i, out[i] is received by the other one */
	uint16_t in_pos[2], out_pos[2];
	int core;
	bool sleeps;
	pthread_t thread;
	pthread_mutex_t gate; /* held by whoever pauses the thread */
	atomic_bool stop, pause, waiting, reset;
	double ran_at_reset; /* seconds */
	uint64_t reset_at;
	_Atomic uint64_t cycles, packets; /* of polls that moved something */
};

static unsigned move(struct null_switch *n, unsigned i)
{
	struct front_ring *in = n->in[i], *out = n->out[i];
	uint16_t in_pos = n->in_pos[i], out_pos = n->out_pos[i];
	uint16_t ready = (uint16_t)(__atomic_load_n(&in->avail->idx, __ATOMIC_ACQUIRE) - in_pos);
	uint16_t room = (uint16_t)(__atomic_load_n(&out->avail->idx, __ATOMIC_ACQUIRE) - out_pos);
	unsigned count = ready < BURST ? ready : BURST;

	count = count < room ? count : room;
	for (unsigned k = 0; k < count; k++)
		__builtin_prefetch(
			front_ring_buffer(in, in->avail->ring[(in_pos + k) & in->mask]) + FRONT_HEADROOM);
	for (unsigned k = 0; k < count; k++, in_pos++, out_pos++) {
		uint16_t from = in->avail->ring[in_pos & in->mask],
			 to = out->avail->ring[out_pos & out->mask];
		uint8_t *target = front_ring_buffer(out, to) + FRONT_HEADROOM - FRONT_HDR;
		uint32_t len = in->desc[from].len;

		memcpy(target, front_ring_buffer(in, from) + FRONT_HEADROOM - FRONT_HDR, len);
		((struct virtio_net_hdr_mrg_rxbuf *)target)->num_buffers = 1;
		in->used->ring[in_pos & in->mask] = (struct vring_used_elem){.id = from};
		out->used->ring[out_pos & out->mask] = (struct vring_used_elem){.id = to, .len = len};
	}
	if (count > 0) {
		__atomic_store_n(&out->used->idx, out_pos, __ATOMIC_RELEASE);
		__atomic_store_n(&in->used->idx, in_pos, __ATOMIC_RELEASE);
	}
	n->in_pos[i] = in_pos;
	n->out_pos[i] = out_pos;
	return count;
}

static void wait_at_gate(struct null_switch *n)
{
	atomic_store(&n->waiting, true);
	pthread_mutex_lock(&n->gate);
	pthread_mutex_unlock(&n->gate);
	atomic_store(&n->waiting, false);
}

static void want_kicks(struct null_switch *n, bool on)
{
	for (unsigned i = 0; i < 2; i++)
		__atomic_store_n(&n->in[i]->used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void sleep_until_kicked(struct null_switch *n)
{
	struct pollfd fd[2];
	const struct timespec limit = {.tv_nsec = SLEEP_MS * 1000000L};
	bool waiting = false;
	eventfd_t kicks;

	want_kicks(n, true);
	for (unsigned i = 0; i < 2; i++) {
		fd[i] = (struct pollfd){.fd = n->in[i]->kick, .events = POLLIN};
		waiting |= __atomic_load_n(&n->in[i]->avail->idx, __ATOMIC_ACQUIRE) != n->in_pos[i];
	}
	if (!waiting)
		ppoll(fd, 2, &limit, NULL);
	want_kicks(n, false);
	for (unsigned i = 0; i < 2; i++)
		if (fd[i].revents & POLLIN)
			eventfd_read(fd[i].fd, &kicks);
}

static void *work(void *arg)
{
	struct null_switch *n = arg;
	uint64_t cycles = 0, packets = 0, patience = (uint64_t)(host_tsc_hz() / 1e6 * PATIENCE_US), last = 0;

	host_pin(n->core);
	while (!atomic_load_explicit(&n->stop, memory_order_relaxed)) {
		uint64_t start = host_tsc();
		unsigned moved = move(n, 0) + move(n, 1);

		if (atomic_load_explicit(&n->reset, memory_order_relaxed)) {
			cycles = packets = 0;
			atomic_store(&n->reset, false);
		}
		if (moved > 0) {
			last = start;
			cycles += host_tsc() - start;
			packets += moved;
			atomic_store_explicit(&n->cycles, cycles, memory_order_relaxed);
			atomic_store_explicit(&n->packets, packets, memory_order_relaxed);
		}
		if (atomic_load_explicit(&n->pause, memory_order_relaxed))
			wait_at_gate(n);
		else if (n->sleeps && start - last > patience)
			sleep_until_kicked(n);
	}
	return NULL;
}

struct null_switch *null_start(struct front *const fronts[2], int core, bool sleeps)
{
	struct null_switch *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->core = core;
	n->sleeps = sleeps;
	pthread_mutex_init(&n->gate, NULL);
	for (unsigned i = 0; i < 2; i++) {
		n->in[i] = front_tx_ring(fronts[i], 0);
		n->out[i] = front_rx_ring(fronts[!i], 0);
		n->in[i]->used->flags = n->out[i]->used->flags = VRING_USED_F_NO_NOTIFY;
		if (sleeps)
			n->in[i]->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* the front closes it */
	}
	if (pthread_create(&n->thread, NULL, work, n) != 0) {
		pthread_mutex_destroy(&n->gate);
		free(n);
		return NULL;
	}
	return n;
}

static double thread_seconds(struct null_switch *n)
{
	struct timespec t = {0};
	clockid_t clock;

	if (pthread_getcpuclockid(n->thread, &clock) == 0)
		clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void null_reset(struct null_switch *n)
{
	atomic_store(&n->reset, true);
	while (atomic_load(&n->reset))
		;
	n->ran_at_reset = thread_seconds(n);
	n->reset_at = host_tsc();
}

double null_share_pct(struct null_switch *n)
{
	double passed = (double)(host_tsc() - n->reset_at) / host_tsc_hz();

	return 100.0 * (thread_seconds(n) - n->ran_at_reset) / passed;
}

double null_cycles_per_packet(struct null_switch *n)
{
	uint64_t packets = atomic_load(&n->packets);

	return packets > 0 ? (double)atomic_load(&n->cycles) / (double)packets : 0;
}

void null_pause(struct null_switch *n, bool paused)
{
	if (paused) {
		pthread_mutex_lock(&n->gate);
		atomic_store(&n->pause, true);
	} else {
		atomic_store(&n->pause, false);
		pthread_mutex_unlock(&n->gate);
	}
	while (atomic_load(&n->waiting) != paused)
		;
}

void null_stop(struct null_switch *n)
{
	if (!n)
		return;
	atomic_store(&n->stop, true);
	pthread_join(n->thread, NULL);
	pthread_mutex_destroy(&n->gate);
	free(n);
}
