/* Backends that are near have new connections, while enough of them are there. */
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { MANY = 2000 };

static uint8_t buf[2048];
static uint32_t id = DP_SERVICE_NONE;

struct shares {
	unsigned b, c, none;
};

/* Connections from so many ports to port 90 of the vip: how many does each have? */
static struct shares shares_of(const struct dp_backend *backends, size_t n)
{
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 90,
		.protocol = DP_TCP,
		.backends = backends,
		.nbackends = n,
		.near = true};
	struct shares shares = {0};
	struct dp_err err;

	if (dp_service_put(rig.dp, &spec, &id, &err))
		fail_msg("%s", err.text);
	for (uint16_t port = 1000; port < (uint16_t)(1000 + MANY); port++) {
		const struct packet p = {dp_router_mac, MAC_A, IP_A, IP_VIP, TCP, port, 90, SYN, 0};

		rig.b.count = rig.c.count = 0;
		harness_send(rig.dp, &rig.a, buf, packet_ip4(buf, &p), RIG_PLAIN, 0);
		*(rig.b.count ? &shares.b : rig.c.count ? &shares.c : &shares.none) += 1;
	}
	assert_int_equal(dp_service_del(rig.dp, id), 0);
	id = DP_SERVICE_NONE;
	lb_tick(rig.dp);
	return shares;
}

static struct dp_backend at(uint32_t ip, uint16_t port, enum dp_distance distance)
{
	return (struct dp_backend){.address = ip_from4(ip), .port = port, .weight = 1, .distance = distance};
}

static void the_nearest_have_all(void **state)
{
	const struct dp_backend host[] = {at(IP_B, 80, DP_SAME_HOST), at(IP_C, 80, DP_SAME_ZONE)};
	const struct dp_backend zone[] = {at(IP_B, 80, DP_FAR), at(IP_C, 80, DP_SAME_ZONE)};
	const struct dp_backend far[] = {at(IP_B, 80, DP_FAR), at(IP_C, 80, DP_FAR)};

	assert_int_equal(shares_of(host, 2).b, MANY);
	assert_int_equal(shares_of(zone, 2).c, MANY);
	assert_in_range(shares_of(far, 2).b, MANY * 4 / 10, MANY * 6 / 10);
}

/* One of two is dead: 1.4 times a half of the connections stay near. */
static void what_is_too_much_for_the_rest_overflows(void **state)
{
	struct dp_backend backends[] = {
		at(IP_B, 80, DP_SAME_HOST), at(IP_B, 81, DP_SAME_HOST), at(IP_C, 80, DP_FAR)};
	struct shares shares;

	backends[0].dead = true;
	shares = shares_of(backends, 3);
	assert_in_range(shares.b, MANY * 65 / 100, MANY * 75 / 100);
	assert_int_equal(shares.b + shares.c, MANY);
	backends[0].dead = false;
	backends[0].weight = 0; /* it drains: it has left, and the others are all that there are */
	backends[0].draining = true;
	assert_int_equal(shares_of(backends, 3).b, MANY);
	backends[1].dead = true;
	assert_int_equal(shares_of(backends, 3).c, MANY);
}

/* A client that is its own nearest backend. */
static void a_client_is_not_its_own_neighbour(void **state)
{
	const struct dp_backend backends[] = {at(IP_A, 80, DP_SAME_HOST), at(IP_C, 80, DP_FAR)};

	assert_int_equal(shares_of(backends, 2).c, MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_nearest_have_all),
		RIG_TEST(what_is_too_much_for_the_rest_overflows),
		RIG_TEST(a_client_is_not_its_own_neighbour),
	};

	return cmocka_run_group_tests_name("service_locality", tests, rig_group_setup, rig_group_teardown);
}
