/*
 * Every array of a burst at its limit and one beyond, by every source that fills it and every port that empties it:
 * what fits arrives whole, what can never fit is dropped and counted once, what does not fit now comes later.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/host/netns.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/udp_gso.h"
#include "dataplane/port/types.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/dataplane/hosts.h"
#include "tests/unit/dataplane/vhost/packed_guest.h"
#include "tests/unit/unit.h"

enum { TABLE = RIG_DATA + 131072, PIECE = 3, CHAINS = 100 };

/* No more than there is room for, spans one behind the other, and frames as long as they say. */
static void check_burst(const struct burst *b)
{
	const struct span *next = b->span;

	assert_in_range(b->count, 0, BURST_MAX);
	assert_in_range(b->nspan, 0, BURST_SPANS);
	for (unsigned i = 0; i < b->count; i++) {
		const struct frame *f = &b->frame[i];
		uint32_t len = f->hdr_len;

		assert_in_range(f->nspan, 0, FRAME_SPANS);
		if (f->nspan) {
			assert_true(f->span >= next);
			next = f->span + f->nspan;
		}
		for (unsigned s = 0; s < f->nspan; s++)
			len += f->span[s].len;
		assert_int_equal(len, f->len);
	}
	assert_true(next <= b->span + b->nspan);
}

/* Chains of a first piece and `more` others. */
struct shape {
	uint32_t first; /* bytes of the frame in it */
	unsigned more;
};

static unsigned spans_of(const struct shape *s)
{
	uint32_t private = HDR_COPY, spans = 0;

	for (unsigned i = 0; i <= s->more; i++) {
		uint32_t len = i ? PIECE : s->first;

		spans += len > private;
		private -= len < private ? len : private;
	}
	return spans;
}

/* Takes all that was offered. Returns the frames, each of which is the pattern. */
static unsigned drain(struct rig *rig, uint32_t len)
{
	unsigned taken = 0;

	for (unsigned turn = 0; turn < CHAINS; turn++) {
		rig_rx(rig);
		check_burst(&rig->w.burst);
		for (unsigned i = 0; i < rig->w.burst.count; i++)
			rig_expect_frame(rig, i, len, 9);
		taken += rig->w.burst.count;
		rig_complete(rig);
	}
	return taken;
}

static void expect_drained(struct rig *rig, const struct shape *s)
{
	uint32_t len = s->first + s->more * PIECE;
	bool fits = spans_of(s) <= FRAME_SPANS && s->more < VHOST_PIECES;

	assert_int_equal(drain(rig, len), fits ? CHAINS : 0);
	assert_int_equal(rig_drops(rig, DROP_BAD_RING), fits ? 0 : CHAINS);
	assert_int_equal(rig_all_drops(rig), fits ? 0 : CHAINS);
}

static void offer_split(struct rig *rig, const struct shape *s)
{
	struct vring_desc *table = (struct vring_desc *)rig_at(rig, TABLE);

	table[0] = (struct vring_desc){RIG_DATA, VHOST_HDR + s->first, s->more ? VRING_DESC_F_NEXT : 0, 1};
	rig_link(table, 1, RIG_DATA + VHOST_HDR + s->first, s->more * PIECE, PIECE);
	rig_desc(&rig->rx, 0, TABLE, (s->more + 1) * 16, VRING_DESC_F_INDIRECT, 0);
	for (unsigned i = 0; i < CHAINS; i++)
		rig_offer(&rig->rx, 0);
}

static void offer_packed(struct packed_rig *p, const struct shape *s)
{
	struct vring_packed_desc *table = (struct vring_packed_desc *)rig_at(p->rig, TABLE);
	struct packed_link link = {TABLE, (s->more + 1) * 16, VRING_DESC_F_INDIRECT};

	table[0] = (struct vring_packed_desc){RIG_DATA, VHOST_HDR + s->first, 0, 0};
	for (unsigned i = 0; i < s->more; i++)
		table[1 + i] =
			(struct vring_packed_desc){RIG_DATA + VHOST_HDR + s->first + i * PIECE, PIECE, 0, 0};
	for (unsigned i = 0; i < CHAINS; i++)
		packed_offer(&p->rx, &link, 1, (uint16_t)i);
}

static void any_shape_of_chain_from_a_guest(void **state)
{
	static const uint32_t first[] = {0, 1, HDR_COPY - 1, HDR_COPY, HDR_COPY + 1, 5000};
	static const unsigned more[] = {0, 5, 20, 22, 31, 32, 63, 64, 65};

	for (unsigned i = 0; i < 6 * 9; i++) {
		struct shape s = {first[i % 6], more[i / 6]};
		struct rig *rig;
		struct packed_rig *packed;

		if (s.first + s.more * PIECE < FRAME_MIN)
			continue;
		rig = rig_new();
		packed = packed_new();
		rig_write_frame(rig, RIG_DATA, s.first + s.more * PIECE, 9);
		rig_write_frame(packed->rig, RIG_DATA, s.first + s.more * PIECE, 9);
		offer_split(rig, &s);
		expect_drained(rig, &s);
		offer_packed(packed, &s);
		expect_drained(packed->rig, &s);
		rig_free(rig);
		packed_free(packed);
	}
}

/* One large frame of as many spans as there can be, in as many segments as it may ask for. */
static void segments_of_a_frame(void **state)
{
	static const struct recipe recipe = {4, IPPROTO_TCP, .payload = 61440};
	static struct flat flat;
	static struct burst in, out;
	uint32_t offset = 0;
	unsigned n = 0;
	struct frame *f;

	flat_make(&flat, &recipe, true);
	in.count = in.nspan = 0;
	f = split(&in, flat.data, flat.len, HDR_COPY, 960);
	assert_int_equal(f->nspan, FRAME_SPANS);
	ask(f, &flat, 61440 / OFFLOAD_SEGMENTS_MAX);
	assert_true(offload_valid(f));
	while (offload_segment(f, &out, &offset, true) > 0) {
		check_burst(&out);
		n += out.count;
	}
	assert_int_equal(n, OFFLOAD_SEGMENTS_MAX);
	assert_int_equal(offset, 61440);
	ask(f, &flat, 61440 / OFFLOAD_SEGMENTS_MAX - 1);
	assert_false(offload_valid(f));
}

static struct bench bench;
static struct host host;

static int packet_socket(void)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = host.index};
	int fd = netns_socket(host.netns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), size = 1 << 22;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* The next of the test's frames from the port; the host has others of its own. */
static void expect_frame(int fd, const uint8_t *want, uint32_t len)
{
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	uint8_t got[2000];

	do
		assert_int_equal(poll(&waiting, 1, -1), 1);
	while (recv(fd, got, sizeof(got), 0) != (ssize_t)len);
	assert_memory_equal(got, want, len);
}

/* A whole burst of frames in `nspan` spans of a byte each is sent, and arrives. */
static void send_spans(unsigned nspan)
{
	static struct frame store[BURST_MAX];
	static struct span span[UINT8_MAX];
	static uint8_t data[HDR_COPY + UINT8_MAX];
	struct frame *list[BURST_MAX];
	int fd = packet_socket();
	uint16_t done = 0;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	memcpy(data, host.mac, 6);
	data[6] = 2;
	for (unsigned i = 0; i < nspan; i++)
		span[i] = (struct span){data + HDR_COPY + i, 1};
	for (unsigned i = 0; i < BURST_MAX; i++) {
		struct frame *f = list[i] = &store[i];

		frame_init(f);
		memcpy(frame_data(f), data, HDR_COPY);
		f->hdr_len = HDR_COPY;
		f->len = HDR_COPY + nspan;
		f->span = span;
		f->nspan = (uint8_t)nspan;
	}
	while (done < BURST_MAX)
		done += host.port.ops->tx(&host.port, bench.w, list + done, BURST_MAX - done);
	for (unsigned i = 0; i < BURST_MAX; i++)
		expect_frame(fd, data, HDR_COPY + nspan);
	close(fd);
}

/* More frames than a turn takes come in several, of which none is too full. */
static void receive(uint32_t len, unsigned frames)
{
	static uint8_t data[FRAME_MAX];
	int fd = packet_socket();
	unsigned taken = 0;

	memset(data, 0xff, 6);
	memcpy(data + 6, host.mac, 6);
	data[12] = 0x88;
	data[13] = 0xb5;
	for (unsigned i = 0; i < frames; i++)
		assert_int_equal(write(fd, data, len), len);
	while (taken < frames) {
		struct burst *b = host_rx(&bench, &host);

		check_burst(b);
		for (unsigned i = 0; i < b->count; i++)
			taken += b->frame[i].len == len;
		host_complete(&bench, &host);
	}
	close(fd);
}

static void both_ways(void)
{
	bench_tick(&bench);
	send_spans(1);
	send_spans(FRAME_SPANS);
	send_spans(UDP_GSO_SPANS);
	receive(60, 3 * BURST_MAX + 1);
	receive(1514, 3 * BURST_MAX + 1);
}

static void tap(void **state)
{
	bench_open(&bench);
	host_open(&host, &bench, HOST_TAP, 1);
	both_ways();
	host_close(&host);
	bench_close(&bench);
}

static void af_packet(void **state)
{
	bench_open(&bench);
	host_open(&host, &bench, HOST_VETH, 1);
	both_ways();
	host_close(&host);
	bench_close(&bench);
}

static void af_xdp(void **state)
{
	struct dp_err err = {""};

	bench_open(&bench);
	host_make(&host, HOST_VETH, 1);
	host.port.dp = &bench.dp;
	host.port.id = 1;
	host.port.mtu = 1500;
	host.port.ops = &port_af_xdp_ops;
	if (host.port.ops->open(&host.port, &err)) {
		print_message("skipped: no AF_XDP here: %s\n", err.text);
		host_unmake(&host);
		bench_close(&bench);
		skip();
	}
	both_ways();
	host_close(&host);
	bench_close(&bench);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_shape_of_chain_from_a_guest),
		cmocka_unit_test(segments_of_a_frame),
		cmocka_unit_test(tap),
		cmocka_unit_test(af_packet),
		cmocka_unit_test(af_xdp),
	};

	hosts_isolate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
