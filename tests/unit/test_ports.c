/*
 * The ports that the kernel feeds, on the kernel itself: hosts in namespaces talk TCP through them, with
 * partial checksums and large frames passed on as they are or worked out in software on the way, and lose
 * their interfaces.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/netns.h"
#include "dataplane/offload.h"
#include "tests/unit/frames.h"
#include "tests/unit/hosts.h"
#include "tests/unit/unit.h"

enum { TRANSFER = 4 << 20, TCP_PORT = 5001 };

static struct bench bench;
static struct host host[2];
static uint8_t sent[TRANSFER], received[TRANSFER + 1];

/* What the relay saw. */
static struct {
	unsigned frames, partial, large;
} seen;

static void send_segments(struct host *to, struct frame *f)
{
	uint32_t offset = 0;
	uint16_t n;

	while ((n = offload_segment(f, &bench.w->segments, &offset, false)) > 0)
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(host_tx(&bench, to, &bench.w->segments.frame[i]), 1);
}

/* Carries one burst from a host to the other, `in_software`: as to a receiver that takes no offloads. */
static void relay(struct host *from, struct host *to, bool in_software)
{
	struct burst *b = host_rx(&bench, from);

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];

		seen.frames++;
		seen.partial += f->off.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM;
		seen.large += f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE;
		if (in_software && f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
			send_segments(to, f);
			continue;
		}
		if (in_software && f->off.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM)
			offload_checksum(f);
		assert_int_equal(host_tx(&bench, to, f), 1);
	}
	host_complete(&bench, from);
}

static void relay_both(bool in_software)
{
	relay(&host[0], &host[1], in_software);
	relay(&host[1], &host[0], in_software);
}

static socklen_t address_of(const struct host *h, unsigned number, int family, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_port = htons(TCP_PORT);
		in->sin_addr.s_addr = htonl(0x0a090000 + number);
		return sizeof(*in);
	}
	in6->sin6_port = htons(TCP_PORT);
	in6->sin6_addr = (struct in6_addr){{{0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, (uint8_t)number}}};
	in6->sin6_scope_id = (uint32_t)h->index;
	return sizeof(*in6);
}

/* Sends TRANSFER bytes from host 0 to host 1 over TCP and compares them. */
static void transfer(int family, bool in_software)
{
	struct sockaddr_storage address;
	socklen_t len = address_of(&host[1], 2, family, &address);
	int listener = netns_socket(host[1].netns, family, SOCK_STREAM, 0), in = -1, one = 1;
	int out = netns_socket(host[0].netns, family, SOCK_STREAM, 0);
	size_t put = 0, got = 0;

	memset(&seen, 0, sizeof(seen));
	memset(received, 0, sizeof(received));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	len = address_of(&host[0], 2, family, &address);
	if (connect(out, (struct sockaddr *)&address, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	while (got < TRANSFER) {
		ssize_t n;

		relay_both(in_software);
		if (in < 0)
			in = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		n = send(out, sent + put, TRANSFER - put, MSG_NOSIGNAL);
		put += n > 0 ? (size_t)n : 0;
		n = in < 0 ? -1 : recv(in, received + got, sizeof(received) - got, 0);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, TRANSFER);
	assert_memory_equal(sent, received, TRANSFER);
	close(in);
	close(out);
	close(listener);
}

static void open_hosts(enum host_kind first, enum host_kind second)
{
	bench_open(&bench);
	host_open(&host[0], &bench, first, 1);
	host_open(&host[1], &bench, second, 2);
	bench_tick(&bench);
}

static void close_hosts(void)
{
	for (unsigned r = 0; r < DROP_COUNT; r++) {
		assert_int_equal(host_drops(&bench, &host[0], r), 0);
		assert_int_equal(host_drops(&bench, &host[1], r), 0);
	}
	host_close(&host[0]);
	host_close(&host[1]);
	bench_close(&bench);
}

static void carry(enum host_kind first, enum host_kind second)
{
	open_hosts(first, second);
	for (unsigned i = 0; i < 4; i++) {
		transfer(i & 1 ? AF_INET6 : AF_INET, i & 2);
		/* else it was no test of offloads */
		assert_true(seen.partial > 0);
		assert_true(seen.large > 10);
	}
	close_hosts();
}

static void test_tap_to_tap(void **state)
{
	carry(HOST_TAP, HOST_TAP);
}

static void test_veth_to_veth(void **state)
{
	carry(HOST_VETH, HOST_VETH);
}

static void test_tap_to_veth(void **state)
{
	carry(HOST_TAP, HOST_VETH);
}

/* An application that has the kernel cut its datagrams: a veth leaves that to whoever reads them. */
static void test_large_udp(void **state)
{
	enum { DATAGRAM = 1000, BYTES = 9500 };
	struct sockaddr_storage address;
	socklen_t len = address_of(&host[1], 2, AF_INET, &address);
	int size = DATAGRAM, in, out;
	unsigned got = 0;

	open_hosts(HOST_VETH, HOST_TAP);
	memset(&seen, 0, sizeof(seen));
	in = netns_socket(host[1].netns, AF_INET, SOCK_DGRAM, 0);
	out = netns_socket(host[0].netns, AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(in, (struct sockaddr *)&address, len), 0);
	assert_int_equal(setsockopt(out, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	assert_int_equal(sendto(out, sent, BYTES, 0, (struct sockaddr *)&address, len), BYTES);
	while (got < BYTES) {
		uint8_t datagram[DATAGRAM + 1];
		ssize_t n;

		relay_both(true);
		n = recv(in, datagram, sizeof(datagram), 0);
		if (n < 0)
			continue;
		assert_int_equal(n, BYTES - got < DATAGRAM ? BYTES - got : DATAGRAM);
		assert_memory_equal(datagram, sent + got, n);
		got += (unsigned)n;
	}
	assert_int_equal(seen.large, 1);
	close(in);
	close(out);
	close_hosts();
}

/* The hosts have a tunnel of their own between them: the checksums that they leave to others are inside it.
 */
static void test_veth_tunnel(void **state)
{
	if (system("command -v ethtool >/dev/null")) {
		puts("skipped: needs ethtool");
		skip();
	}
	open_hosts(HOST_VETH, HOST_VETH);
	for (unsigned i = 1; i <= 2; i++)
		host_run(&host[i - 1],
			"ethtool -K eth0 tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off "
			">/dev/null;"
			"ip addr flush dev eth0; ip addr add 10.7.0.%u/24 dev eth0;"
			"ip link add vx0 type vxlan id 5 remote 10.7.0.%u dstport 4789 dev eth0;"
			"ip addr add 10.9.0.%u/24 dev vx0; ip link set vx0 up",
			i, 3 - i, i);
	transfer(AF_INET, false);
	close_hosts();
}

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
	host_open(&host[0], &bench, kind, 1);
	bench_tick(&bench);
	fd = packet_socket(&host[0]);
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
		assert_int_equal(host_tx(&bench, &host[0], f), 1);
		do { /* the host sends things of its own */
			assert_int_equal(poll(&waiting, 1, -1), 1);
			len = recv(fd, got, sizeof(got), 0);
		} while (len != (ssize_t)flat.len);
		assert_memory_equal(got, flat.data, flat.len);
	}
	close(fd);
	host_close(&host[0]);
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
		struct burst *b = host_rx(&bench, &host[0]);

		for (unsigned i = 0; i < b->count; i++)
			if (b->frame[i].len == len)
				return &b->frame[i];
		host_complete(&bench, &host[0]);
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
	host_open(&host[0], &bench, kind, 1);
	fd = packet_socket(&host[0]);
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
		host_complete(&bench, &host[0]);
	}
	close(fd);
	host_close(&host[0]);
	bench_close(&bench);
}

static void test_tap_arrival(void **state)
{
	check_arrival(HOST_TAP);
}

static void test_veth_arrival(void **state)
{
	check_arrival(HOST_VETH);
}

/* A frame from a neighbour that nobody asked for. */
static struct frame *some_frame(void)
{
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 100};
	static struct flat flat;
	static struct burst b;

	b.count = 0;
	b.nspan = 0;
	flat_make(&flat, &recipe, false);
	return split(&b, flat.data, flat.len, 64, 0);
}

static bool is_up(const struct host *h)
{
	return atomic_load(&h->port.up);
}

/* The port's link is the interface's; frames to an interface that is down count as link-down. */
static void check_link(enum host_kind kind)
{
	bench_open(&bench);
	host_open(&host[0], &bench, kind, 1);
	bench_tick(&bench);
	assert_true(is_up(&host[0]));

	host_set_up(&host[0], false);
	assert_int_equal(host_tx(&bench, &host[0], some_frame()), 1);
	bench_tick(&bench);
	assert_false(is_up(&host[0]));
	assert_int_equal(host_drops(&bench, &host[0], DROP_LINK_DOWN), 1);

	host_set_up(&host[0], true);
	bench_tick(&bench);
	assert_true(is_up(&host[0]));
	assert_int_equal(host_tx(&bench, &host[0], some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host[0], DROP_LINK_DOWN), 1);
	host_close(&host[0]);
	bench_close(&bench);
}

static void test_tap_link(void **state)
{
	check_link(HOST_TAP);
}

static void test_veth_link(void **state)
{
	check_link(HOST_VETH);
}

/* The far end of a veth goes down and up: the carrier goes and comes. */
static void test_veth_carrier(void **state)
{
	bench_open(&bench);
	host_open(&host[0], &bench, HOST_VETH, 1);
	assert_true(is_up(&host[0]));
	host_run(&host[0], "ip link set eth0 down");
	bench_tick(&bench);
	assert_false(is_up(&host[0]));
	host_run(&host[0], "ip link set eth0 up");
	bench_tick(&bench);
	assert_true(is_up(&host[0]));
	host_close(&host[0]);
	bench_close(&bench);
}

/* A device that is made again under its name is taken again. */
static void test_device_comes_back(void **state)
{
	bench_open(&bench);
	host_open(&host[0], &bench, HOST_VETH, 1);
	here_run("ip link del %s", host[0].outer);
	assert_int_equal(host_tx(&bench, &host[0], some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host[0], DROP_LINK_DOWN), 1);
	assert_false(is_up(&host[0]));
	bench_tick(&bench);
	assert_false(is_up(&host[0]));

	here_run("ip link add %s type veth peer name far; ip link set %s up; ip link set far up",
		host[0].outer, host[0].outer);
	bench_tick(&bench);
	assert_true(is_up(&host[0]));
	assert_int_equal(host_tx(&bench, &host[0], some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host[0], DROP_LINK_DOWN), 1);
	here_run("ip link del far");
	host_close(&host[0]);
	bench_close(&bench);
}

/* The worker notices by itself, before the timer does, and the port stays down. */
static void test_tap_deleted(void **state)
{
	bench_open(&bench);
	host_open(&host[0], &bench, HOST_TAP, 1);
	assert_true(is_up(&host[0]));
	host_run(&host[0], "ip link del eth0");
	assert_int_equal(host_rx(&bench, &host[0])->count, 0);
	assert_false(is_up(&host[0]));
	assert_int_equal(host_tx(&bench, &host[0], some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host[0], DROP_LINK_DOWN), 1);
	bench_tick(&bench);
	assert_false(is_up(&host[0]));
	host_close(&host[0]);
	bench_close(&bench);
}

/* A turn takes a bounded number of frames; the others stay for the next. */
static void test_tap_turn_is_bounded(void **state)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x0a0900ff)};
	int fd, one = 1;
	unsigned first;

	bench_open(&bench);
	host_open(&host[0], &bench, HOST_TAP, 1);
	fd = netns_socket(host[0].netns, AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(sendto(fd, "frame", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	first = host_rx(&bench, &host[0])->count;
	assert_int_equal(first, 16);
	assert_int_equal(host_rx(&bench, &host[0])->count, 16);
	assert_true(host_rx(&bench, &host[0])->count >= 8);
	close(fd);
	host_close(&host[0]);
	bench_close(&bench);
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
	host_open(&host[0], &bench, HOST_VETH, 1);
	fd = packet_socket(&host[0]);
	flat_make(&flat, &recipe, false);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(write(fd, flat.data, flat.len), flat.len);
	bench_tick(&bench);
	for (struct burst *b; (b = host_rx(&bench, &host[0]))->count > 0; host_complete(&bench, &host[0]))
		for (unsigned i = 0; i < b->count; i++)
			taken += b->frame[i].len == flat.len;
	lost = host_drops(&bench, &host[0], DROP_RX_OVERRUN);
	assert_int_equal(host_drops(&bench, &host[0], DROP_RING_FULL), 0);
	assert_true(taken > 0 && taken <= RING);
	/* the host may have lost a frame of its own besides */
	assert_true(taken + lost >= FRAMES);
	assert_true(lost <= FRAMES);
	assert_int_equal(write(fd, flat.data, flat.len), flat.len);
	await(flat.len);
	close(fd);
	host_close(&host[0]);
	bench_close(&bench);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tap_to_tap),
		cmocka_unit_test(test_veth_to_veth),
		cmocka_unit_test(test_tap_to_veth),
		cmocka_unit_test(test_large_udp),
		cmocka_unit_test(test_veth_tunnel),
		cmocka_unit_test(test_tap_arrival),
		cmocka_unit_test(test_veth_arrival),
		cmocka_unit_test(test_tap_spans),
		cmocka_unit_test(test_veth_spans),
		cmocka_unit_test(test_tap_link),
		cmocka_unit_test(test_veth_link),
		cmocka_unit_test(test_veth_carrier),
		cmocka_unit_test(test_device_comes_back),
		cmocka_unit_test(test_veth_overrun),
		cmocka_unit_test(test_tap_deleted),
		cmocka_unit_test(test_tap_turn_is_bounded),
	};

	hosts_isolate();
	for (unsigned i = 0; i < TRANSFER; i++)
		sent[i] = (uint8_t)(i * 31 + (i >> 8) + (i >> 16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
