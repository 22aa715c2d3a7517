#include "tests/pipeline/egress/egress_rig.h"

#include <string.h>

#include "tests/unit/unit.h"

struct egress_rig rig;
const mac_t EGRESS_UP = {2, 0, 0, 0, 0, 1}, EGRESS_HOP = {2, 0, 0, 0, 0, 2};

static void answer_arp(void)
{
	uint8_t buf[2048];

	harness_send(rig.dp, &rig.uplink, buf,
		packet_arp(buf, EGRESS_UP, EGRESS_HOP, 2, ip4("192.0.2.254"), ip4("192.0.2.1")), EGRESS_PLAIN,
		0);
	harness_tick(rig.dp);
}

int egress_setup(void **state)
{
	struct dp_port up = {.mac = {2, 0, 0, 0, 0, 1},
		.address = {ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24},
		.next_hop = ip_from4(ip4("192.0.2.254")),
		.vxlan_port = 4789,
		.mtu = 1500};
	struct dp_network spec = {.mode = DP_BRIDGE,
		.subnet = ip4("10.0.0.0"),
		.prefix = 24,
		.gateway = ip4("10.0.0.254"),
		.age_s = 300,
		.egress = DP_EGRESS_OUT | DP_EGRESS_IN};

	rig.net = harness_network(rig.dp, &spec);
	harness_port(rig.dp, &rig.a, rig.net, NULL);
	harness_port(rig.dp, &rig.b, rig.net, NULL);
	harness_port(rig.dp, &rig.uplink, DP_NET_NONE, &up);
	answer_arp();
	rig.a.count = rig.b.count = rig.uplink.count = 0;
	return 0;
}

int egress_teardown(void **state)
{
	struct test_port *ports[] = {&rig.a, &rig.b, &rig.uplink};

	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
	for (unsigned i = 0; i < 3; i++)
		if (i == 1 || ports[i]->port != rig.b.port)
			dp_port_del(rig.dp, ports[i]->port->id);
	for (unsigned i = 0; i < 4; i++) /* a second: what was theirs ends */
		harness_tick(rig.dp);
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 0);
	assert_int_equal(dp_network_del(rig.dp, rig.net), 0);
	return 0;
}

int egress_open_all(void **state)
{
	rig.dp = harness_open();
	return 0;
}

int egress_close_all(void **state)
{
	harness_close(rig.dp);
	return 0;
}

uint16_t egress_field(const struct received *r, unsigned at)
{
	return (uint16_t)(r->data[at] << 8 | r->data[at + 1]);
}

void egress_leave(struct test_port *tp, const uint8_t *mac, const char *from, uint8_t proto, uint16_t port,
	uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, mac, ip4(from), ip4("203.0.113.9"),
					     proto, port, 80, flags, 10});

	rig.uplink.count = 0;
	harness_send(rig.dp, tp, buf, len, EGRESS_PLAIN, 0);
}

void egress_answer(uint8_t proto, uint16_t port, uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){EGRESS_UP, EGRESS_HOP, ip4("203.0.113.9"),
					     ip4("192.0.2.1"), proto, 80, port, flags, 10});

	rig.a.count = rig.b.count = 0;
	harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
}

size_t egress_error(uint8_t *buf, const uint8_t *quote, size_t n)
{
	size_t len = packet_ip4(buf, &(struct packet){EGRESS_UP, EGRESS_HOP, ip4("198.51.100.1"),
					     ip4("192.0.2.1"), ICMP, 0, 0, 0, n});

	memcpy(buf + 42, quote, n);
	buf[34] = 3; /* unreachable */
	buf[35] = 1;
	return len;
}
