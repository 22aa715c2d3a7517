/*
 * Single frames between the kernel and the ports that it feeds: they arrive whole however they lie in memory,
 * with what was asked for them, and no more at a time than a turn takes.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/host/netns.h"
#include "dataplane/core/uring.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/dataplane/hosts.h"
#include "tests/unit/unit.h"

static struct bench bench;
static struct host host;

/* Sends and receives whole frames on a host's interface. */
static int packet_socket(const struct host *h)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = h->index};
	int fd = netns_socket(h->netns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Any way that a frame may lie in memory arrives as the same bytes. */
static void check_spans(enum host_kind kind)
{
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 1400};
	static const uint32_t steps[] = {0, 1, 13, 500};
	static struct flat flat;
	static struct burst b;
	uint8_t got[2000];
	int fd;

	bench_open(&bench);
	host_open(&host, &bench, kind, 1);
	bench_tick(&bench);
	fd = packet_socket(&host);
	flat_make(&flat, &recipe, false);
	for (unsigned i = 0; i < 4; i++) {
		struct pollfd waiting = {.fd = fd, .events = POLLIN};
		struct frame *f;
		ssize_t len;

		b.count = 0;
		b.nspan = 0;
		put16(flat.data + flat.l3 + 4, i); /* tells them apart */
		flat_finish(&flat, false);
		f = split(&b, flat.data, flat.len, 64, steps[i]);
		assert_int_equal(host_tx(&bench, &host, f), 1);
		do { /* the host sends things of its own */
			assert_int_equal(poll(&waiting, 1, -1), 1);
			len = recv(fd, got, sizeof(got), 0);
		} while (len != (ssize_t)flat.len);
		assert_memory_equal(got, flat.data, flat.len);
	}
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

static void test_tap_spans(void **state)
{
	check_spans(HOST_TAP);
}

static void test_veth_spans(void **state)
{
	check_spans(HOST_VETH);
}

/* Sends `flat` out of the host's interface, asking for its checksum and, with gso_size, for segmentation. */
static void emit(int fd, struct flat *flat, uint16_t gso_size)
{
	struct frame request = {0};
	struct iovec iov[2] = {{&request.off, sizeof(request.off)}, {flat->data, flat->len}};

	ask(&request, flat, gso_size);
	if (gso_size)
		request.off.hdr_len = flat->payload;
	assert_int_equal(writev(fd, iov, 2), (ssize_t)(sizeof(request.off) + flat->len));
}

/* The next frame of this length from the host: it sends others of its own. The burst is not completed. */
static struct frame *await(uint32_t len)
{
	for (;;) {
		struct burst *b = host_rx(&bench, &host);

		for (unsigned i = 0; i < b->count; i++)
			if (b->frame[i].len == len)
				return &b->frame[i];
		host_complete(&bench, &host);
	}
}

/* What a host sends arrives as it is, VLAN tags included, with its request. */
static void check_arrival(enum host_kind kind)
{
	static const struct {
		struct recipe recipe;
		uint16_t gso_size;
	} rows[] = {
		{{4, IPPROTO_UDP, .payload = 333}, 0},
		{{4, IPPROTO_UDP, .payload = 334, .tags = 1}, 0},
		{{4, IPPROTO_TCP, .payload = 335, .tags = 2}, 0},
		{{6, IPPROTO_TCP, .payload = 336, .tags = 1, .tcp_options = 12}, 0},
		{{4, IPPROTO_TCP, .payload = 30000, .tcp_options = 12}, 1448},
		{{4, IPPROTO_TCP, .payload = 30001, .tags = 1, .tcp_options = 12}, 1448},
		{{6, IPPROTO_TCP, .payload = 60000}, 1400},
		{{6, IPPROTO_TCP, .payload = 30002, .tags = 1}, 1400},
	};
	static struct flat flat;
	static uint8_t got[FRAME_MAX];
	int fd, one = 1;

	bench_open(&bench);
	host_open(&host, &bench, kind, 1);
	fd = packet_socket(&host);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame *f;

		flat_make(&flat, &rows[i].recipe, true);
		emit(fd, &flat, rows[i].gso_size);
		f = await(flat.len);
		assert_int_equal(f->off.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(f->off.csum_start, flat.l4);
		assert_int_equal(f->off.gso_size, rows[i].gso_size);
		assert_int_equal(f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE, rows[i].gso_size > 0);
		frame_copy(f, got);
		assert_memory_equal(got, flat.data, flat.len);
		host_complete(&bench, &host);
	}
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

static void test_tap_arrival(void **state)
{
	check_arrival(HOST_TAP);
}

/* `together`: else without io_uring, as on a kernel that has none. */
static void open_tap(bool together)
{
	bench_open(&bench);
	if (!together) {
		uring_free(bench.w->uring);
		bench.w->uring = NULL;
	}
	host_open(&host, &bench, HOST_TAP, 1);
}

static void test_veth_arrival(void **state)
{
	check_arrival(HOST_VETH);
}

/* A turn takes a bounded number of frames; the others stay for the next. */
static void check_turn(bool together)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x0a0900ff)};
	int fd, one = 1;
	unsigned first;

	open_tap(together);
	fd = netns_socket(host.netns, AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(sendto(fd, "frame", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	first = host_rx(&bench, &host)->count;
	assert_int_equal(first, 16);
	assert_int_equal(host_rx(&bench, &host)->count, 16);
	assert_true(host_rx(&bench, &host)->count >= 8);
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

static void test_tap_turn_is_bounded(void **state)
{
	check_turn(true);
}

static void test_tap_turn_is_bounded_one_by_one(void **state)
{
	check_turn(false);
}

/*
 * Large frames after small ones: the first turn has read as many as of small ones, and may be longer by that; then a turn keeps
 * to its bytes, also behind turns without large frames. None is lost, and all are in order.
 */
static void test_tap_turn_of_large_frames(void **state)
{
	enum { LARGE = 24, SMALL_TURNS = 60 };
	static const struct recipe recipe = {4, IPPROTO_TCP, .payload = 64000},
				   small = {4, IPPROTO_TCP, .payload = 100};
	static struct flat flat;
	unsigned seen = 0, turns = 0;
	int fd, one = 1;

	bench_open(&bench);
	host_open(&host, &bench, HOST_TAP, 1);
	fd = packet_socket(&host);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	for (unsigned round = 0; round < 2; round++) {
		flat_make(&flat, &small, true);
		for (unsigned i = 0; i < 16; i++)
			emit(fd, &flat, 0);
		while (host_rx(&bench, &host)->count > 0)
			host_complete(&bench, &host);
		flat_make(&flat, &recipe, true);
		for (unsigned i = 0; i < LARGE; i++) {
			put16(flat.data + flat.l3 + 4, i);
			flat_finish(&flat, true);
			emit(fd, &flat, 1448);
		}
		seen = 0;
		for (turns = 0; seen < LARGE; turns++) {
			struct burst *b = host_rx(&bench, &host);

			if (turns > 0 || round > 0)
				assert_true(b->bytes <= BURST_BYTES + FRAME_MAX);
			for (unsigned i = 0; i < b->count; i++)
				if (b->frame[i].len == flat.len)
					assert_int_equal(
						get16(frame_data(&b->frame[i]) + flat.l3 + 4), seen++);
			host_complete(&bench, &host);
		}
	}
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

/* Frames for a host, some of which its interface refuses: each is counted once, the others arrive in order. */
static void check_refusals(bool together)
{
	enum { FRAMES = 32, REFUSED = 11 };
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 400};
	static struct flat flat[FRAMES];
	static struct burst b;
	struct frame *list[FRAMES];
	uint8_t got[2000];
	int fd;

	open_tap(together);
	bench_tick(&bench);
	fd = packet_socket(&host);
	b.count = b.nspan = 0;
	for (unsigned i = 0; i < FRAMES; i++) {
		flat_make(&flat[i], &recipe, false);
		put16(flat[i].data + flat[i].l3 + 4, i);
		flat_finish(&flat[i], false);
		list[i] = split(&b, flat[i].data, flat[i].len, 64, 100);
		if (i % 3 == 1) /* the kernel knows no such request */
			list[i]->off = (struct offload){
				.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = 77, .gso_size = 1};
	}
	assert_int_equal(host.port.ops->tx(&host.port, bench.w, list, FRAMES), FRAMES);
	assert_int_equal(host_drops(&bench, &host, DROP_TX_ERROR), REFUSED);
	for (unsigned i = 0; i < FRAMES; i++) {
		ssize_t len;

		if (i % 3 == 1)
			continue;
		do {
			len = recv(fd, got, sizeof(got), 0);
		} while (len != (ssize_t)flat[i].len);
		assert_memory_equal(got, flat[i].data, flat[i].len);
	}
	host_set_up(&host, false);
	assert_int_equal(host.port.ops->tx(&host.port, bench.w, list, FRAMES), FRAMES);
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN) + host_drops(&bench, &host, DROP_TX_ERROR),
		FRAMES + REFUSED);
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

static void test_tap_refusals(void **state)
{
	check_refusals(true);
}

static void test_tap_refusals_one_by_one(void **state)
{
	check_refusals(false);
}

/*
 * No read of a turn is under way behind it: frames that come later, and the end of the interface, write nowhere. What is sent to
 * an interface that is gone is counted once.
 */
static void check_end(bool together)
{
	enum { FRAMES = 32 };
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 1400};
	static struct flat flat;
	static struct burst b;
	struct frame *list[FRAMES];
	int fd;

	open_tap(together);
	bench_tick(&bench);
	fd = packet_socket(&host);
	flat_make(&flat, &recipe, false);
	do { /* the host sends things of its own */
		memset(bench.w->scratch, 0xa5, SCRATCH_BYTES);
	} while (host_rx(&bench, &host)->count > 0);
	b.count = b.nspan = 0;
	for (unsigned i = 0; i < FRAMES; i++) {
		assert_int_equal(send(fd, flat.data, flat.len, 0), flat.len);
		list[i] = split(&b, flat.data, flat.len, 64, 0);
	}
	host_run(&host, "ip link del eth0");
	for (size_t i = 0; i < SCRATCH_BYTES; i++)
		assert_int_equal(bench.w->scratch[i], 0xa5);
	assert_int_equal(host.port.ops->tx(&host.port, bench.w, list, FRAMES), FRAMES);
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN), FRAMES);
	assert_true(host.port.ops->lost(&host.port));
	assert_int_equal(host_rx(&bench, &host)->count, 0);
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

static void test_tap_end(void **state)
{
	check_end(true);
}

static void test_tap_end_one_by_one(void **state)
{
	check_end(false);
}

/* Frames that find the ring full are counted, and the ring goes on. */
static void test_veth_overrun(void **state)
{
	enum { FRAMES = 400, RING = 240 };
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 777};
	static struct flat flat;
	unsigned taken = 0;
	uint64_t lost;
	int fd;

	bench_open(&bench);
	host_open(&host, &bench, HOST_VETH, 1);
	fd = packet_socket(&host);
	flat_make(&flat, &recipe, false);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(write(fd, flat.data, flat.len), flat.len);
	bench_tick(&bench);
	for (struct burst *b; (b = host_rx(&bench, &host))->count > 0; host_complete(&bench, &host))
		for (unsigned i = 0; i < b->count; i++)
			taken += b->frame[i].len == flat.len;
	lost = host_drops(&bench, &host, DROP_RX_OVERRUN);
	assert_int_equal(host_drops(&bench, &host, DROP_RING_FULL), 0);
	assert_true(taken > 0 && taken <= RING);
	/* the host may have lost a frame of its own besides */
	assert_true(taken + lost >= FRAMES);
	assert_true(lost <= FRAMES);
	assert_int_equal(write(fd, flat.data, flat.len), flat.len);
	await(flat.len);
	close(fd);
	host_close(&host);
	bench_close(&bench);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tap_spans),
		cmocka_unit_test(test_veth_spans),
		cmocka_unit_test(test_tap_arrival),
		cmocka_unit_test(test_veth_arrival),
		cmocka_unit_test(test_tap_turn_is_bounded),
		cmocka_unit_test(test_tap_turn_is_bounded_one_by_one),
		cmocka_unit_test(test_tap_turn_of_large_frames),
		cmocka_unit_test(test_tap_refusals),
		cmocka_unit_test(test_tap_refusals_one_by_one),
		cmocka_unit_test(test_tap_end),
		cmocka_unit_test(test_tap_end_one_by_one),
		cmocka_unit_test(test_veth_overrun),
	};

	hosts_isolate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
