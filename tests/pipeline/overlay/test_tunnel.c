/*
 * The overlay against the kernel's own VXLAN: a host with a vxlan device behind a packet-socket uplink, a
 * host with a TAP in the network, TCP between the two with every offload that the kernel has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/host/netns.h"
#include "dataplane/engine/loop.h"
#include "dataplane/engine/polling.h"
#include "tests/pipeline/harness.h"
#include "tests/unit/dataplane/hosts.h"
#include "tests/unit/unit.h"

enum { TRANSFER = 4 << 20, TCP_PORT = 5001, VNI = 42 };

/* The remote host is 10.9.0.1 in the underlay and 10.8.0.1 inside; we are 10.9.0.2; the local host
 * is 10.8.0.2. */
static struct host remote, local;
static struct dp *dp;
static uint16_t net, uplink, port, vtep;
static uint8_t sent[TRANSFER], received[TRANSFER + 1];

static uint32_t address(const char *text)
{
	return inet_addr(text);
}

static uint16_t add(struct host *h, uint16_t to)
{
	struct dp_err err = {""};
	uint16_t id;

	h->port.spec.net = to;
	h->port.spec.mtu = 1500;
	if (dp_port_add(dp, &h->port.spec, &id, &err))
		fail_msg("%s", err.text);
	return id;
}

static int setup(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 9, 2};
	const struct dp_network overlay = {.mode = DP_OVERLAY, .vni = VNI, .mtu = 1450, .age_s = 300};
	struct dp_err err;

	dp = harness_open();
	net = harness_network(dp, &overlay);
	host_make(&remote, HOST_VETH, 1);
	host_run(&remote,
		"ip link add vx0 type vxlan id %d remote 10.9.0.2 dstport 4789 dev eth0;"
		"ip addr add 10.8.0.1/24 dev vx0; ip link set vx0 up",
		VNI);
	memcpy(remote.port.spec.mac, mac, 6);
	remote.port.spec.address = (struct ip_prefix){ip_from4(address("10.9.0.2")), IP_PREFIX4 + 24};
	remote.port.spec.vxlan_port = 4789;
	uplink = add(&remote, DP_NET_NONE);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(address("10.9.0.1")), &vtep, &err), 0);
	host_make(&local, HOST_TAP, 2);
	host_run(&local,
		"ip addr flush dev eth0; ip addr add 10.8.0.2/24 dev eth0; ip link set eth0 mtu 1450");
	port = add(&local, net);
	return 0;
}

static int teardown(void **state)
{
	dp_port_del(dp, port);
	dp_vtep_del(dp, vtep);
	dp_port_del(dp, uplink);
	host_unmake(&local);
	host_unmake(&remote);
	harness_close(dp);
	return 0;
}

static void turn(void)
{
	static unsigned turns;
	struct worker *w = dp->worker[0];

	w->turn++;
	worker_serve(w, dp_get_port(dp, uplink), 0);
	worker_serve(w, dp_get_port(dp, port), 0);
	if (++turns % 64 == 0) /* the neighbour's answer, timers */
		harness_tick(dp);
}

/* Carries TRANSFER bytes from one host to another and compares them. */
static void transfer(const struct host *from, const struct host *to, const char *ip)
{
	struct sockaddr_in in4 = {
		.sin_family = AF_INET, .sin_port = htons(TCP_PORT), .sin_addr.s_addr = address(ip)};
	int listener = netns_socket(to->netns, AF_INET, SOCK_STREAM, 0), in = -1, one = 1;
	int out = netns_socket(from->netns, AF_INET, SOCK_STREAM, 0);
	size_t put = 0, got = 0;

	memset(received, 0, sizeof(received));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listener, (struct sockaddr *)&in4, sizeof(in4)), 0);
	assert_int_equal(listen(listener, 1), 0);
	if (connect(out, (struct sockaddr *)&in4, sizeof(in4)) < 0)
		assert_int_equal(errno, EINPROGRESS);
	while (got < TRANSFER) {
		ssize_t n;

		turn();
		if (in < 0)
			in = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		n = send(out, sent + put, TRANSFER - put, MSG_NOSIGNAL);
		put += n > 0 ? (size_t)n : 0;
		n = in < 0 ? -1 : recv(in, received + got, sizeof(received) - got, 0);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(sent, received, TRANSFER);
	close(in);
	close(out);
	close(listener);
}

static uint64_t rx_packets(uint16_t id)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, id, &info), 0);
	return info.rx_packets;
}

static uint64_t tx_packets(uint16_t id)
{
	struct dp_port_info info;

	assert_int_equal(dp_port_info(dp, id, &info), 0);
	return info.tx_packets;
}

/* From the kernel's tunnel come large frames inside VXLAN, whose request names the inner packet. */
static void test_from_the_tunnel(void **state)
{
	uint64_t before = rx_packets(uplink);

	transfer(&remote, &local, "10.8.0.2");
	/* in segments of 1,400 bytes it would have been 3,000 */
	assert_true(rx_packets(uplink) - before < 1500);
	assert_int_equal(harness_drops(dp, "bad-offload"), 0);
	assert_int_equal(harness_balance(dp, net), 0);
}

/* Into the tunnel large frames go whole, or in segments with their checksums done, many of them in one frame. */
static void test_into_the_tunnel(void **state)
{
	uint64_t before = rx_packets(port), carried = tx_packets(uplink);

	transfer(&local, &remote, "10.8.0.1");
	assert_true(rx_packets(port) - before < 1500);
	assert_true(tx_packets(uplink) - carried < 1500);
	assert_int_equal(harness_drops(dp, "bad-offload"), 0);
	assert_int_equal(harness_drops(dp, "mtu"), 0);
	assert_int_equal(harness_balance(dp, net), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_the_tunnel),
		cmocka_unit_test(test_into_the_tunnel),
	};

	hosts_isolate();
	for (unsigned i = 0; i < TRANSFER; i++)
		sent[i] = (uint8_t)(i * 31 + (i >> 8) + (i >> 16));
	return cmocka_run_group_tests(tests, setup, teardown);
}
