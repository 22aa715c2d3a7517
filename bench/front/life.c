#include "bench/front/life.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "bench/front/packed.h"
#include "bench/front/private.h"
#include "bench/front/tx.h"

/* Where a back-end that has given back all that it took goes on. */
static uint32_t base_now(const struct front_ring *r)
{
	uint16_t pos = (uint16_t)(r->seen + front_packed_ready(r, r->size));

	return (uint32_t)front_packed_wrap(r, pos) << 15 | (pos & r->mask);
}

static int halt_ring(struct front *f, unsigned index)
{
	struct front_ring *r = &f->rings[index];
	uint32_t expected, half;
	int rc = front_stop_ring(f, index, &r->base);

	if (rc < 0)
		return rc;
	expected = r->packed ? base_now(r) : front_ring_used(r);
	half = r->packed ? r->base & UINT16_MAX : r->base;
	return half == expected ? 0
				: front_fail(f, -EPROTO, "GET_VRING_BASE: %u for ring %u, which is at %u",
					  half, index, expected);
}

int front_halt(struct front *f)
{
	int rc = 0;

	for (unsigned i = 0; i < 2 * f->opt.pairs && rc == 0; i++)
		rc = halt_ring(f, i);
	return rc;
}

int front_go_on(struct front *f)
{
	int rc = 0;

	for (unsigned i = 0; i < 2 * f->opt.pairs && rc == 0; i++)
		rc = front_tell_ring(f, i, f->rings[i].base);
	return rc;
}

static int wait_reaped(struct front *f, struct front_ring *r)
{
	for (int ms = 0; ms < f->opt.timeout_ms; ms++) {
		front_tx_reap(r);
		if (front_tx_pending(r) == 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return front_fail(f, -ETIMEDOUT, "the back-end does not give transmitted frames back");
}

int front_grow(struct front *f)
{
	struct front_memory *more = &f->memory[1];
	size_t each = (size_t)f->rings[1].stride * f->rings[1].size;
	int rc;

	if (more->base)
		return front_fail(f, -EBUSY, "memory was plugged in before");
	rc = front_memory_open(more, each * f->opt.pairs, f->opt.pages);
	if (rc == 0)
		rc = front_share_more(f);
	for (unsigned i = 0; i < f->opt.pairs && rc == 0; i++) {
		struct front_ring *r = front_tx_ring(f, i);

		rc = wait_reaped(f, r);
		if (rc == 0)
			front_ring_move(r, more->base + i * each, front_guest_base(f, 1) + i * each);
	}
	return rc;
}

int front_punch(struct front *f)
{
	const struct front_memory *m = &f->memory[0];
	const struct front_ring *r = &f->rings[1];
	off_t from = r->buffers - m->base, len = (off_t)r->stride * r->size;

	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, len) < 0)
		return front_fail(f, -errno, "no holes in this memory: %s", strerror(errno));
	return 0;
}

int front_reboot(struct front *f, const struct front_options *opt, bool reset_owner)
{
	struct front_options anew = *opt;
	int rc = reset_owner
			 ? front_request_set(f, &(struct front_wire){.request = FRONT_RESET_OWNER}, NULL, 0)
			 : front_handshake_stop(f);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < 2 * f->opt.pairs; i++)
		front_close_eventfds(&f->rings[i]);
	front_clear_out(f);
	f->boots++;
	anew.socket = NULL;
	anew.listen = f->opt.listen;
	rc = front_lay_out(f, &anew);
	f->opt.socket = f->address.sun_path;
	return rc < 0 ? front_fail(f, rc, "no memory for these rings") : front_negotiate(f);
}
