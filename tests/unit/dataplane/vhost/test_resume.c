/*
 * A back-end is killed before each of its instructions in turn (a child that is stepped through one call), and
 * another goes on with what stands in the ring then: each chain that the guest offered comes back once and in
 * its turn, whatever came back already.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "dataplane/vhost/resume.h"
#include "tests/unit/dataplane/vhost/packed_guest.h"
#include "tests/unit/unit.h"

enum {
	RING_BYTES = 32768,	   /* of one, in the rig's memory */
	PIECE = 100,		   /* bytes of a descriptor */
	SPACE = 128,		   /* between them */
	MEM = 65536 + 128 * SPACE, /* rings and buffers */
	BOOKS = 1024,
};

/* A ring, and the guest's books: what it offered and got back. */
struct world {
	bool packed, receives;
	struct packed_rig *p;
	struct rig *rig;
	unsigned slots[BOOKS]; /* of the chains offered, by their number */
	uint64_t at[BOOKS];    /* and where each begins */
	uint16_t id[BOOKS];
	unsigned offered, back;
	unsigned taken, given; /* descriptors */
	unsigned pending;      /* buffers still to come of a received frame */
};

static struct world *world_new(bool packed, bool receives)
{
	struct world *w = calloc(1, sizeof(*w));

	w->packed = packed;
	w->receives = receives;
	w->p = packed ? packed_new() : NULL;
	w->rig = packed ? w->p->rig : rig_new();
	return w;
}

static void world_free(struct world *w)
{
	if (w->packed)
		packed_free(w->p);
	else
		rig_free(w->rig);
	free(w);
}

static struct packed_guest *packed_side(struct world *w)
{
	return w->receives ? &w->p->tx : &w->p->rx;
}

static struct guest_ring *split_side(struct world *w)
{
	return w->receives ? &w->rig->tx : &w->rig->rx;
}

static void resume(struct world *w)
{
	struct vhost_ring *r = split_side(w)->ring;

	r->next_avail = r->next_used = r->seen = r->since_mark = 77;
	r->taken = 0;
	r->avail_wrap = r->used_wrap = false;
	if (w->packed)
		vhost_resume_packed(r, (struct vhost_position){0, true}); /* what QEMU says: where it began */
	else
		vhost_resume_split(r);
}

static uint64_t piece(unsigned i)
{
	return RIG_DATA + (uint64_t)(i % RIG_SIZE) * SPACE;
}

/* Offers a chain of `n` descriptors. */
static void offer(struct world *w, unsigned n)
{
	const uint16_t flags = w->receives ? VRING_DESC_F_WRITE : 0;
	unsigned book = w->offered++ % BOOKS;
	struct packed_link link[8];

	w->slots[book] = n;
	w->at[book] = piece(w->taken);
	w->id[book] = (uint16_t)(w->packed ? w->offered * 7 : w->taken % RIG_SIZE);
	for (unsigned i = 0; i < n; i++) {
		link[i] = (struct packed_link){piece(w->taken + i), PIECE, flags};
		if (!w->packed)
			rig_desc(split_side(w), (w->taken + i) % RIG_SIZE, link[i].addr, PIECE,
				flags | (i + 1 < n ? VRING_DESC_F_NEXT : 0), (w->taken + i + 1) % RIG_SIZE);
	}
	if (w->packed)
		packed_offer(packed_side(w), link, n, w->id[book]);
	else
		rig_offer(split_side(w), w->id[book]);
	w->taken += n;
}

static bool next_back(struct world *w, unsigned slots, uint16_t *id, uint32_t *len)
{
	const struct vring_used_elem *used;

	if (w->packed)
		return packed_take(packed_side(w), slots, id, len);
	if (rig_used(split_side(w)) == (uint16_t)w->back)
		return false;
	used = &split_side(w)->used->ring[w->back % RIG_SIZE];
	*id = (uint16_t)used->id;
	*len = used->len;
	return true;
}

/* A received frame comes whole or not at all. */
static void look_at_buffer(struct world *w, unsigned book, uint32_t len)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;

	if (w->pending || !len) {
		assert_true(len ? w->pending > 0 : w->pending == 0);
		w->pending -= len > 0;
		return;
	}
	memcpy(&hdr, rig_at(w->rig, w->at[book]), sizeof(hdr));
	assert_in_range(hdr.num_buffers, 1, 8);
	w->pending = hdr.num_buffers - 1u;
}

/* Takes what is back: each chain once, in the order in which they were offered. */
static void take_back(struct world *w)
{
	uint16_t id;
	uint32_t len;

	while (w->back < w->offered) {
		unsigned book = w->back % BOOKS;

		if (!next_back(w, w->slots[book], &id, &len))
			return;
		assert_int_equal(id, w->id[book]);
		if (w->receives)
			look_at_buffer(w, book, len);
		w->back++;
		w->given += w->slots[book];
	}
	assert_false(next_back(w, 1, &id, &len));
}

static void offer_all(struct world *w, const unsigned *shape)
{
	for (unsigned i = 0; w->taken - w->given + shape[i] <= RIG_SIZE; i = shape[i + 1] ? i + 1 : 0)
		offer(w, shape[i]);
}

static uint16_t send(struct world *w, unsigned n, uint32_t len)
{
	static struct frame frame[BURST_MAX];
	static struct frame *frames[BURST_MAX];
	static const uint8_t rest[FRAME_MAX];
	static struct span span;

	span = (struct span){rest, len - HDR_COPY};
	for (unsigned i = 0; i < n; i++) {
		frame_init(&frame[i]);
		frame[i].len = len;
		frame[i].hdr_len = HDR_COPY;
		frame[i].span = &span;
		frame[i].nspan = len > HDR_COPY;
		frame[i].net = 5;
		frames[i] = &frame[i];
	}
	return vhost_tx(&w->rig->port, &w->rig->w, frames, (uint16_t)n);
}

/* Uses every chain up. */
static void drain(struct world *w)
{
	if (w->receives)
		while (send(w, 1, HDR_COPY))
			;
	else
		while (rig_rx(w->rig))
			rig_complete(w->rig);
}

/* What it is killed in. */
static void work(struct world *w)
{
	if (w->receives) {
		send(w, 3, HDR_COPY);
		send(w, 3, 2 * PIECE);
	} else if (rig_rx(w->rig)) {
		rig_complete(w->rig);
	}
}

/* Another device and the same guest, at the moment at which `w`'s memory is. */
static void copy_world(struct world *v, const struct world *w)
{
	struct packed_rig *p = v->p;
	struct rig *rig = v->rig;

	*v = *w;
	v->p = p;
	v->rig = rig;
	memcpy(rig->mem[0], w->rig->mem[0], MEM);
	if (w->packed) {
		packed_side(v)->next = packed_side((struct world *)w)->next;
		packed_side(v)->used = packed_side((struct world *)w)->used;
	}
}

static void expect_to_go_on(struct world *v, const unsigned *shape, bool guest_is_ahead)
{
	if (guest_is_ahead) {
		take_back(v);
		offer_all(v, shape);
	}
	resume(v);
	drain(v);
	take_back(v);
	assert_int_equal(v->back, v->offered);
	for (unsigned i = 0; i < 3; i++) {
		offer_all(v, shape);
		drain(v);
		take_back(v);
		assert_int_equal(v->back, v->offered);
		assert_int_equal(v->pending, 0);
	}
	assert_int_equal(rig_all_drops(v->rig), 0);
}

/* A child that stops, works and stops again. */
static pid_t start_child(struct world *w)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(EXIT_SKIPPED);
		raise(SIGSTOP);
		work(w);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSTOPPED(status)) {
		print_message("ptrace is not allowed here\n");
		exit(EXIT_SKIPPED);
	}
	return child;
}

/* One instruction on. False: it has done its work. */
static bool step(pid_t child)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	return WSTOPSIG(status) == SIGTRAP;
}

/* Returns the number of different states that it was killed in. */
static unsigned kill_everywhere(struct world *w, const unsigned *shape)
{
	const uint8_t *ring = w->rig->mem[0] + (w->receives ? RING_BYTES : 0);
	struct world *v = world_new(w->packed, w->receives);
	static uint8_t last[RING_BYTES];
	pid_t child = start_child(w);
	unsigned states = 0;

	memset(last, 0xff, sizeof(last));
	while (step(child)) {
		if (!memcmp(last, ring, sizeof(last)))
			continue;
		memcpy(last, ring, sizeof(last));
		states++;
		for (int ahead = 0; ahead < 2; ahead++) {
			copy_world(v, w);
			expect_to_go_on(v, shape, ahead);
		}
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	world_free(v);
	return states;
}

static const unsigned one[] = {1, 0}, several[] = {2, 1, 3, 1, 1, 0};

/* The device has dealt with `chains` before; of those that a guest receives by, all that fit are offered. */
static void killed_after(unsigned chains, bool packed, bool receives, const unsigned *shape)
{
	struct world *w = world_new(packed, receives);
	const unsigned shapes = shape == one ? 1 : 5;

	resume(w);
	for (unsigned i = 0; i < chains; i++) {
		if (receives) {
			offer_all(w, shape);
			send(w, 1, HDR_COPY);
		} else {
			offer(w, shape[i % shapes]);
			drain(w);
		}
		take_back(w);
	}
	if (receives)
		offer_all(w, shape);
	for (unsigned i = 0; !receives && i < 8; i++)
		offer(w, shape[i % shapes]);
	assert_in_range(kill_everywhere(w, shape), 2, 10000);
	world_free(w);
}

static void killed(bool packed, bool receives)
{
	static const unsigned chains[] = {126, 300};

	for (unsigned i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		killed_after(chains[i], packed, receives, one);
		killed_after(chains[i], packed, receives, several);
	}
}

static void killed_while_a_guest_sends_by_a_split_ring(void **state)
{
	killed(false, false);
}

static void killed_while_a_guest_receives_by_a_split_ring(void **state)
{
	killed(false, true);
}

static void killed_while_a_guest_sends_by_a_packed_ring(void **state)
{
	killed(true, false);
}

static void killed_while_a_guest_receives_by_a_packed_ring(void **state)
{
	killed(true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_while_a_guest_sends_by_a_split_ring),
		cmocka_unit_test(killed_while_a_guest_receives_by_a_split_ring),
		cmocka_unit_test(killed_while_a_guest_sends_by_a_packed_ring),
		cmocka_unit_test(killed_while_a_guest_receives_by_a_packed_ring),
	};

#ifdef __SANITIZE_THREAD__
	puts("its children run step by step: with what ThreadSanitizer adds they take hours");
	return EXIT_SKIPPED;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
