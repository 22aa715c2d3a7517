/*
 * What the switch counts of the connections that it balances: opened, answered, refused; and what becomes of
 * those without an answer. Client a (10.0.0.5), backends b (10.0.0.11) and c (10.0.0.12); the vip is
 * 10.0.0.100, port 80 by TCP and port 53 by UDP.
 */
#include "dataplane/lb/service.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { TCP = 6, UDP = 17, FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static struct dp *dp;
static uint16_t net;
static struct test_port a, b, c;
static uint32_t A, B, C, VIP;
static uint32_t web, dns;

static int group_setup(void **state)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .subnet = ip4("10.0.0.0"), .prefix = 24};
	struct test_port *port[] = {&a, &b, &c};
	const uint8_t *mac[] = {MAC_A, MAC_B, MAC_C};
	uint8_t buf[2048];

	A = ip4("10.0.0.5");
	B = ip4("10.0.0.11");
	C = ip4("10.0.0.12");
	VIP = ip4("10.0.0.100");
	dp = harness_open();
	net = harness_network(dp, &spec);
	harness_port(
		dp, &a, net, &(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xa}, .ips = {ip_from4(A)}, .nips = 1});
	harness_port(
		dp, &b, net, &(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xb}, .ips = {ip_from4(B)}, .nips = 1});
	harness_port(
		dp, &c, net, &(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xc}, .ips = {ip_from4(C)}, .nips = 1});
	for (int i = 0; i < 3; i++)
		harness_send(
			dp, port[i], buf, packet_eth(buf, MAC_BROADCAST, mac[i], 46), (struct offload){0}, 0);
	return 0;
}

static int group_teardown(void **state)
{
	harness_close(dp);
	return 0;
}

/* Gives both services these backends; 0: not there, negative: dead. */
static void put(int weight_b, int weight_c)
{
	const int weight[] = {weight_b, weight_c};
	const uint32_t ip[] = {B, C};

	for (int udp = 0; udp < 2; udp++) {
		struct dp_backend backend[2];
		struct dp_service spec = {
			net, ip_from4(VIP), udp ? 53 : 80, udp ? DP_UDP : DP_TCP, backend, 0};
		struct dp_err err;

		for (int i = 0; i < 2; i++)
			if (weight[i])
				backend[spec.nbackends++] = (struct dp_backend){
					ip_from4(ip[i]), udp ? 5353 : 8080, 1, weight[i] < 0};
		assert_int_equal(dp_service_put(dp, &spec, udp ? &dns : &web, &err), 0);
	}
}

static int setup(void **state)
{
	a.count = b.count = c.count = 0;
	web = dns = DP_SERVICE_NONE;
	put(1, 0);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(dp_service_del(dp, web), 0);
	assert_int_equal(dp_service_del(dp, dns), 0);
	lb_tick(dp);
	return 0;
}

static void client_says(uint8_t proto, uint16_t port, uint8_t tcp)
{
	uint8_t buf[2048];

	harness_send(dp, &a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, A, VIP, proto, port,
					proto == TCP ? 80 : 53, tcp, 4}),
		(struct offload){0}, 0);
}

static void backend_says(struct test_port *from, uint8_t proto, uint16_t port, uint8_t tcp)
{
	uint8_t buf[2048];

	harness_send(dp, from, buf,
		packet_ip4(buf, &(struct packet){MAC_A, from == &b ? MAC_B : MAC_C, from == &b ? B : C, A,
					proto, proto == TCP ? 8080 : 5353, port, tcp, 4}),
		(struct offload){0}, 0);
}

static struct dp_backend_info info(uint32_t service, uint32_t ip)
{
	struct dp_backend_info found;

	assert_int_equal(dp_backend_info(dp, service, ip_from4(ip), service == web ? 8080 : 5353, &found), 0);
	return found;
}

#define assert_came(service, ip, n_opened, n_answered, n_refused)                                            \
	do {                                                                                                 \
		struct dp_backend_info found = info(service, ip);                                            \
		assert_int_equal(found.opened, n_opened);                                                    \
		assert_int_equal(found.answered, n_answered);                                                \
		assert_int_equal(found.refused, n_refused);                                                  \
	} while (0)

static void a_connection_is_answered_once(void **state)
{
	client_says(TCP, 1000, SYN);
	assert_came(web, B, 1, 0, 0);
	client_says(TCP, 1000, SYN); /* again, since no answer came */
	assert_came(web, B, 1, 0, 0);
	backend_says(&b, TCP, 1000, SYN | ACK);
	assert_came(web, B, 1, 1, 0);
	backend_says(&b, TCP, 1000, SYN | ACK);
	client_says(TCP, 1000, ACK);
	backend_says(&b, TCP, 1000, ACK);
	backend_says(&b, TCP, 1000, RST); /* later: the application's own affair */
	assert_came(web, B, 1, 1, 0);
}

static void a_reset_for_a_first_answer_refuses(void **state)
{
	client_says(TCP, 1000, SYN);
	backend_says(&b, TCP, 1000, RST | ACK);
	assert_came(web, B, 1, 0, 1);
	client_says(TCP, 1000, SYN); /* the client's port once more */
	backend_says(&b, TCP, 1000, SYN | ACK);
	assert_came(web, B, 2, 1, 1);
}

static void what_the_client_does_afterwards_does_not_matter(void **state)
{
	client_says(TCP, 1000, SYN);
	client_says(TCP, 1000, RST);
	backend_says(&b, TCP, 1000, SYN | ACK);
	assert_came(web, B, 1, 1, 0);
	for (uint16_t port = 2000; port < 2010; port++) { /* a scanner: never a third packet */
		client_says(TCP, port, SYN);
		backend_says(&b, TCP, port, SYN | ACK);
	}
	assert_came(web, B, 11, 11, 0);
}

static void who_begins_anew_before_the_answer_withdraws(void **state)
{
	uint32_t before = info(web, B).withdrawn;

	for (int i = 0; i < 5; i++) {
		client_says(TCP, 1000, SYN);
		client_says(TCP, 1000, RST);
	}
	assert_came(web, B, 5, 0, 0);
	assert_int_equal(info(web, B).withdrawn - before, 4);
	backend_says(&b, TCP, 1000, SYN | ACK);
	assert_came(web, B, 5, 1, 0);
	client_says(TCP, 1000, SYN); /* after the answer: nothing is withdrawn */
	assert_int_equal(info(web, B).withdrawn - before, 4);
}

static void what_asks_for_no_answer_is_not_counted(void **state)
{
	static const uint8_t odd[] = {0, FIN, ACK, FIN | ACK, SYN | FIN, SYN | ACK, FIN | 8 | 32};

	for (unsigned i = 0; i < sizeof(odd); i++) {
		client_says(TCP, (uint16_t)(1000 + i), odd[i]);
		backend_says(&b, TCP, (uint16_t)(1000 + i), RST);
	}
	client_says(TCP, 2000, SYN | RST);
	assert_came(web, B, 0, 0, 0);
}

static void datagrams_are_answered(void **state)
{
	client_says(UDP, 1000, 0);
	client_says(UDP, 1000, 0);
	assert_came(dns, B, 1, 0, 0);
	backend_says(&b, UDP, 1000, 0);
	backend_says(&b, UDP, 1000, 0);
	assert_came(dns, B, 1, 1, 0);
	client_says(UDP, 1001, 0);
	assert_came(dns, B, 2, 1, 0);
	assert_came(web, B, 0, 0, 0);
}

/* The other backend answers a reset to what it knows nothing of, or nothing: not its fault. */
static void what_a_dead_backend_leaves_counts_for_nobody(void **state)
{
	client_says(TCP, 1000, SYN);
	backend_says(&b, TCP, 1000, SYN | ACK);
	client_says(UDP, 1000, 0);
	backend_says(&b, UDP, 1000, 0);
	put(-1, 1);
	client_says(TCP, 1000, ACK);
	client_says(UDP, 1000, 0);
	assert_int_equal(c.count, 2);
	backend_says(&c, TCP, 1000, RST);
	assert_came(web, C, 0, 0, 0);
	assert_came(dns, C, 0, 0, 0);
	client_says(TCP, 1000, SYN); /* from here on it is asked itself */
	assert_came(web, C, 1, 0, 0);
}

/* Gives the services both backends, of which only c gets new connections. */
static void put_aside_b(void)
{
	for (int udp = 0; udp < 2; udp++) {
		const uint16_t port = udp ? 5353 : 8080;
		const struct dp_backend backend[] = {
			{ip_from4(B), port, 0, false}, {ip_from4(C), port, 1, false}};
		struct dp_service spec = {
			net, ip_from4(VIP), udp ? 53 : 80, udp ? DP_UDP : DP_TCP, backend, 2};
		struct dp_err err;

		assert_int_equal(dp_service_put(dp, &spec, udp ? &dns : &web, &err), 0);
	}
}

static void who_was_never_answered_chooses_anew(void **state)
{
	client_says(UDP, 1000, 0);
	client_says(UDP, 2000, 0);
	backend_says(&b, UDP, 2000, 0);
	client_says(TCP, 3000, SYN);
	client_says(TCP, 4000, SYN);
	backend_says(&b, TCP, 4000, SYN | ACK); /* the third packet is yet to come */
	put_aside_b();
	b.count = c.count = 0;
	client_says(UDP, 1000, 0);
	client_says(TCP, 3000, SYN);
	assert_int_equal(c.count, 2);
	client_says(UDP, 2000, 0);
	client_says(TCP, 4000, ACK);
	assert_int_equal(b.count, 2);
	assert_int_equal(c.count, 2);
}

static void who_has_no_other_choice_goes_on(void **state)
{
	const struct dp_backend aside = {ip_from4(B), 5353, 0, false};
	struct dp_service spec = {net, ip_from4(VIP), 53, DP_UDP, &aside, 1};
	struct dp_err err;

	client_says(UDP, 1000, 0);
	assert_int_equal(dp_service_put(dp, &spec, &dns, &err), 0);
	client_says(UDP, 1000, 0);
	assert_int_equal(b.count, 2);
}

static void a_new_backend_begins_at_zero(void **state)
{
	client_says(TCP, 1000, SYN);
	backend_says(&b, TCP, 1000, SYN | ACK);
	put(0, 1);
	lb_tick(dp);
	put(1, 0);
	assert_came(web, B, 0, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_is_answered_once),
		TEST(a_reset_for_a_first_answer_refuses),
		TEST(what_the_client_does_afterwards_does_not_matter),
		TEST(who_begins_anew_before_the_answer_withdraws),
		TEST(what_asks_for_no_answer_is_not_counted),
		TEST(datagrams_are_answered),
		TEST(what_a_dead_backend_leaves_counts_for_nobody),
		TEST(who_was_never_answered_chooses_anew),
		TEST(who_has_no_other_choice_goes_on),
		TEST(a_new_backend_begins_at_zero),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
