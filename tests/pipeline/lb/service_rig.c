#include "tests/pipeline/lb/service_rig.h"

#include <string.h>

#include "tests/unit/unit.h"

struct service_rig rig;

static uint16_t make_network(struct test_port *pa, struct test_port *pb, struct test_port *pc)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .subnet = ip4("10.0.0.0"), .prefix = 24};
	uint16_t id = harness_network(rig.dp, &spec);

	harness_port(rig.dp, pa, id,
		&(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xa}, .ips = {ip_from4(IP_A), IP6_A}, .nips = 2});
	harness_port(rig.dp, pb, id,
		&(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xb}, .ips = {ip_from4(IP_B), IP6_B}, .nips = 2});
	harness_port(rig.dp, pc, id,
		&(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xc}, .ips = {ip_from4(IP_C), IP6_C}, .nips = 2});
	return id;
}

/* Everybody says something, so that the switch knows where everybody is. */
static void learn_all(struct test_port *pa, struct test_port *pb, struct test_port *pc)
{
	struct test_port *port[] = {pa, pb, pc};
	const uint8_t *mac[] = {MAC_A, MAC_B, MAC_C};
	uint8_t buf[2048];

	for (int i = 0; i < 3; i++)
		harness_send(rig.dp, port[i], buf, packet_eth(buf, MAC_BROADCAST, mac[i], 46), RIG_PLAIN, 0);
}

int rig_group_setup(void **state)
{
	return rig_group_setup_workers(1);
}

int rig_group_setup_workers(unsigned n)
{
	rig.dp = harness_open_workers(n);
	rig.net = make_network(&rig.a, &rig.b, &rig.c);
	rig.other_net = make_network(&rig.other_a, &rig.other_b, &rig.other_c);
	learn_all(&rig.a, &rig.b, &rig.c);
	learn_all(&rig.other_a, &rig.other_b, &rig.other_c);
	return 0;
}

int rig_group_teardown(void **state)
{
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
	assert_int_equal(harness_balance(rig.dp, rig.other_net), 0);
	harness_close(rig.dp);
	return 0;
}

int rig_put(uint16_t in, uint16_t port, enum dp_protocol protocol, const struct dp_backend *backends,
	size_t n, uint32_t *id)
{
	const struct dp_service spec = {in, ip_from4(IP_VIP), port, protocol, backends, n};
	struct dp_err err;
	int rc = dp_service_put(rig.dp, &spec, id, &err);

	if (rc)
		print_message("%s\n", err.text);
	return rc;
}

void rig_weigh(int weight_b, int weight_c)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), 8080, (uint16_t)(weight_b < 0 ? 1 : weight_b), weight_b < 0},
		{ip_from4(IP_C), 8080, (uint16_t)(weight_c < 0 ? 1 : weight_c), weight_c < 0},
	};

	assert_int_equal(rig_put(rig.net, 80, DP_TCP, backends, 2, &rig.tcp_service), 0);
}

int rig_setup(void **state)
{
	const struct dp_backend udp[] = {{ip_from4(IP_B), 5353, 1, false}, {ip_from4(IP_C), 5353, 1, false}};

	rig.a.count = rig.b.count = rig.c.count = rig.other_a.count = rig.other_b.count = rig.other_c.count =
		0;
	rig.tcp_service = rig.udp_service = DP_SERVICE_NONE;
	rig_weigh(1, 1);
	assert_int_equal(rig_put(rig.net, 53, DP_UDP, udp, 2, &rig.udp_service), 0);
	return 0;
}

int rig_teardown(void **state)
{
	assert_int_equal(dp_service_del(rig.dp, rig.tcp_service), 0);
	assert_int_equal(dp_service_del(rig.dp, rig.udp_service), 0);
	lb_tick(rig.dp);
	assert_int_equal(dp_conn_count(rig.dp), 0);
	return 0;
}

size_t rig_to_vip(uint8_t *buf, uint8_t proto, uint16_t client_port, uint8_t tcp_flags, size_t payload)
{
	return packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, IP_A, IP_VIP, proto, client_port,
				       proto == TCP ? 80 : 53, tcp_flags, payload});
}

size_t rig_from_backend(
	uint8_t *buf, uint8_t proto, bool is_b, uint16_t client_port, uint8_t tcp_flags, size_t payload)
{
	return packet_ip4(buf, &(struct packet){MAC_A, is_b ? MAC_B : MAC_C, is_b ? IP_B : IP_C, IP_A, proto,
				       proto == TCP ? 8080 : 5353, client_port, tcp_flags, payload});
}

void rig_client_says(uint8_t proto, uint16_t client_port, uint8_t tcp_flags)
{
	uint8_t buf[2048];

	harness_send(rig.dp, &rig.a, buf, rig_to_vip(buf, proto, client_port, tcp_flags, 10), RIG_PLAIN, 0);
}

void rig_backend_says(uint8_t proto, bool is_b, uint16_t client_port, uint8_t tcp_flags)
{
	uint8_t buf[2048];

	harness_send(rig.dp, is_b ? &rig.b : &rig.c, buf,
		rig_from_backend(buf, proto, is_b, client_port, tcp_flags, 10), RIG_PLAIN, 0);
}

struct test_port *rig_reached(void)
{
	struct test_port *to = rig.b.count ? &rig.b : rig.c.count ? &rig.c : NULL;

	assert_in_range(rig.b.count + rig.c.count, 0, 1);
	rig.b.count = rig.c.count = 0;
	return to;
}

struct test_port *rig_client_reaches(uint16_t client_port, uint8_t tcp_flags)
{
	rig_client_says(TCP, client_port, tcp_flags);
	return rig_reached();
}

struct test_port *rig_open_connection(uint16_t client_port)
{
	struct test_port *to = rig_client_reaches(client_port, SYN);

	assert_non_null(to);
	rig_backend_says(TCP, to == &rig.b, client_port, SYN | ACK);
	assert_ptr_equal(rig_client_reaches(client_port, ACK), to);
	return to;
}

uint16_t rig_field16(const struct received *r, size_t at)
{
	return (uint16_t)(r->data[at] << 8 | r->data[at + 1]);
}

void rig_assert_ip(const struct received *r, size_t at, uint32_t ip)
{
	assert_memory_equal(r->data + at, &ip, 4);
}

void rig_give_up_waiting(void)
{
	struct worker *w = rig.dp->worker[0];

	w->now_s += 6;
	service_drop_late(w);
}
