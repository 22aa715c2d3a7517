/*
 * The ports that the kernel feeds, on the kernel itself: hosts in namespaces talk TCP through them, with
 * partial checksums and large frames passed on as they are or worked out in software on the way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/host/netns.h"
#include "dataplane/frame/offload.h"
#include "tests/unit/dataplane/hosts.h"
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tap_to_tap),
		cmocka_unit_test(test_veth_to_veth),
		cmocka_unit_test(test_tap_to_veth),
		cmocka_unit_test(test_large_udp),
		cmocka_unit_test(test_veth_tunnel),
	};

	hosts_isolate();
	for (unsigned i = 0; i < TRANSFER; i++)
		sent[i] = (uint8_t)(i * 31 + (i >> 8) + (i >> 16));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
