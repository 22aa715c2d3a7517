/* Fragments over IPv6, as test_fragment.c has those over IPv4. */
#include <string.h>

#include "dataplane/lb/fragment.h"
#include "dataplane/lb/hold.h"
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum {
	CLIENT = 1234,
	DIRECT = 4321,
	MORE = 1,
	PIECE = 88,
	FRAGMENT = 44,
	ICMP6 = 58,
	L4 = 62,
	SOURCE = 22,
	DESTINATION = 38
};

static uint8_t buf[2048];

static void put(enum dp_protocol protocol, const struct dp_backend *backends, size_t n, uint32_t *id)
{
	const struct dp_service spec = {rig.net, IP6_VIP, 53, protocol, backends, n, false, 0};
	struct dp_err err = {""};

	if (dp_service_put(rig.dp, &spec, id, &err))
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	const struct dp_backend udp[] = {{IP6_B, 5353, 1, false}, {IP6_C, 5353, 1, false}};

	rig.dp->worker[0]->now_s += 31; /* what the test before has begun is forgotten */
	rig.a.count = rig.b.count = rig.c.count = 0;
	hold_close(rig.dp->lb->held);
	rig.dp->lb->held = hold_open();
	rig.tcp_service = rig.udp_service = DP_SERVICE_NONE;
	put(DP_UDP, udp, 2, &rig.udp_service);
	put(DP_TCP, udp, 2, &rig.tcp_service);
	return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

/* A fragment of a datagram; `offset` in bytes. */
static size_t write_fragment(const struct packet *p, struct ip_addr from, struct ip_addr to, uint32_t id,
	bool more, uint16_t offset)
{
	const uint8_t header[8] = {p->proto, 0, (uint8_t)(offset >> 8), (uint8_t)((offset & 0xf8) | more),
		(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	return packet6_write(buf, p, from.b, to.b, FRAGMENT, header, sizeof(header));
}

static size_t write_request(uint8_t proto, uint16_t port, uint32_t id, bool more, uint16_t offset)
{
	const struct packet p = {dp_router_mac, MAC_A, 0, 0, proto, port, 53, 0, 80};

	return write_fragment(&p, IP6_A, IP6_VIP, id, more, offset);
}

static size_t write_answer(bool is_b, uint16_t port, uint32_t id, bool more, uint16_t offset)
{
	const struct packet p = {MAC_A, is_b ? MAC_B : MAC_C, 0, 0, UDP, 5353, port, 0, 80};

	return write_fragment(&p, is_b ? IP6_B : IP6_C, IP6_A, id, more, offset);
}

/* What came of what lies in buf: the same but for one end's MAC and address and, of a first fragment, its port and the
 * checksum. */
static void assert_became(
	const struct received *r, size_t len, bool is_source, struct ip_addr ip, bool is_first, uint16_t port)
{
	uint8_t expected[2048];

	assert_int_equal(r->len, len);
	memcpy(expected, buf, len);
	memcpy(expected + (is_source ? 6 : 0), r->data + (is_source ? 6 : 0), 6);
	memcpy(expected + (is_source ? SOURCE : DESTINATION), ip.b, 16);
	if (is_first) {
		expected[L4 + (is_source ? 0 : 2)] = (uint8_t)(port >> 8);
		expected[L4 + (is_source ? 1 : 3)] = (uint8_t)port;
		packet6_checksum(expected, len, L4, UDP);
	}
	assert_memory_equal(r->data, expected, len);
}

/* A fragment of the client's to the vip; which backend got it, translated? */
static struct test_port *request(uint16_t port, uint32_t id, bool more, uint16_t offset)
{
	size_t len = write_request(UDP, port, id, more, offset);
	struct test_port *to;

	rig.a.count = rig.b.count = rig.c.count = 0;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	to = rig.b.count ? &rig.b : rig.c.count ? &rig.c : NULL;
	assert_int_equal(rig.a.count + rig.b.count + rig.c.count, to != NULL);
	if (to) {
		assert_became(&to->got[0], len, false, to == &rig.b ? IP6_B : IP6_C, offset == 0, 5353);
		assert_memory_equal(to->got[0].data, to == &rig.b ? MAC_B : MAC_C, 6);
	}
	return to;
}

enum arrival { NOTHING, AS_IT_IS, TRANSLATED };

/* A fragment of a backend's datagram to one of the client's ports. */
static enum arrival arrives(struct test_port *from, uint16_t port, uint32_t id, bool more, uint16_t offset)
{
	size_t len = write_answer(from == &rig.b, port, id, more, offset);

	rig.a.count = 0;
	harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
	if (!rig.a.count)
		return NOTHING;
	if (rig.a.got[0].len == len && memcmp(rig.a.got[0].data, buf, len) == 0)
		return AS_IT_IS;
	assert_became(&rig.a.got[0], len, true, IP6_VIP, offset == 0, 53);
	assert_memory_equal(rig.a.got[0].data + 6, dp_router_mac, 6);
	return TRANSLATED;
}

/* A client asks; which backend has the connection? */
static struct test_port *ask(void)
{
	struct test_port *to = request(CLIENT, 1, true, 0);

	assert_non_null(to);
	return to;
}

static void a_request_in_fragments_goes_to_one_backend(void **state)
{
	for (uint16_t i = 0; i < 20; i++) {
		struct test_port *to = request((uint16_t)(2000 + i), i, true, 0);

		assert_non_null(to);
		assert_ptr_equal(request((uint16_t)(2000 + i), i, true, PIECE), to);
		assert_ptr_equal(request((uint16_t)(2000 + i), i, false, 2 * PIECE), to);
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void a_request_without_its_first_fragment_is_dropped(void **state)
{
	uint64_t before = harness_drops(rig.dp, "fragment");

	assert_null(request(CLIENT, 100, false, PIECE));
	assert_non_null(request(CLIENT, 101, true, 0));
	assert_null(request(CLIENT, 101 + (1 << 16), false, PIECE)); /* all 32 bits count */
	rig.dp->worker[0]->now_s += 30;
	assert_non_null(request(CLIENT, 101, true, PIECE));
	rig.dp->worker[0]->now_s += 1; /* nobody puts it together any more */
	assert_null(request(CLIENT, 101, false, 2 * PIECE));
	rig.dp->worker[0]->now_s += 6;
	service_drop_late(rig.dp->worker[0]);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 3);
}

static void a_request_whose_backend_has_gone_is_dropped(void **state)
{
	const struct dp_backend none = {IP6_A, 9, 0, false};
	uint64_t before = harness_drops(rig.dp, "no-backend");

	assert_non_null(request(CLIENT, 7, true, 0));
	put(DP_UDP, &none, 1, &rig.udp_service);
	assert_null(request(CLIENT, 7, false, PIECE));
	assert_int_equal(harness_drops(rig.dp, "no-backend"), before + 1);
}

/* As over IPv4. */
static void what_leaves_for_the_world_is_no_backends(void **state)
{
	struct worker *w = rig.dp->worker[0];
	struct frame f = {.hdr_off = HDR_ROOM, .hdr_len = 64, .l3_off = 14, .net = rig.net};
	uint64_t before = harness_drops(rig.dp, "fragment");

	write_request(UDP, CLIENT, 7, false, PIECE);
	memcpy(frame_data(&f), buf, f.hdr_len);
	f.src_vtep = VTEP_NONE;
	service_fragment_note6(w, rig.a.port, &f, service_fragment_hash6(w, &f, 7), FRAGMENT_TO_BACKEND,
		FRAGMENT_EGRESS | 0x2ffff, (struct ip_addr){0});
	assert_null(request(CLIENT, 7, false, PIECE));
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 1);
}

static void an_answer_in_fragments_comes_from_the_vip(void **state)
{
	struct test_port *from = ask();

	assert_int_equal(arrives(from, CLIENT, 7, true, 0), TRANSLATED);
	assert_int_equal(arrives(from, CLIENT, 7, true, PIECE), TRANSLATED);
	assert_int_equal(arrives(from, CLIENT, 7, false, 2 * PIECE), TRANSLATED);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void a_direct_conversation_goes_on(void **state)
{
	struct test_port *from = ask(), *another = from == &rig.b ? &rig.c : &rig.b;

	assert_int_equal(arrives(from, CLIENT, 7, true, 0), TRANSLATED);
	assert_int_equal(arrives(from, DIRECT, 8, true, 0), AS_IT_IS);
	assert_int_equal(arrives(from, DIRECT, 8, false, PIECE), AS_IT_IS);
	assert_int_equal(arrives(another, CLIENT, 7, true, 0), AS_IT_IS);
	assert_int_equal(arrives(another, CLIENT, 7, false, PIECE), AS_IT_IS);
	assert_int_equal(arrives(from, CLIENT, 7, false, PIECE), TRANSLATED);
	assert_int_equal(arrives(from, DIRECT, 7, true, 0), AS_IT_IS); /* the id is used again */
	assert_int_equal(arrives(from, DIRECT, 7, false, PIECE), AS_IT_IS);
}

/* The only fragment of its datagram is a whole packet (RFC 6946), for each id anew. */
static void an_atomic_fragment_is_a_packet(void **state)
{
	struct test_port *from = ask();

	for (uint32_t id = 0; id < 100; id++)
		assert_ptr_equal(request(CLIENT, id, false, 0), from);
	assert_int_equal(arrives(from, CLIENT, 7, false, 0), TRANSLATED);
	assert_null(request(CLIENT, 50, false, PIECE)); /* none of them is remembered */
}

/* The guard of the port takes the first eight bytes of a header for all that it hides, so TCP's are the ones to miss. */
static void a_first_fragment_without_its_whole_header_goes_nowhere(void **state)
{
	struct test_port *from = ask();

	for (uint8_t bytes = 8; bytes < 20; bytes++) {
		const struct packet p = {
			MAC_A, from == &rig.b ? MAC_B : MAC_C, 0, 0, TCP, 5353, DIRECT, 0, 80};
		uint64_t before = harness_drops(rig.dp, "fragment");

		write_fragment(&p, from == &rig.b ? IP6_B : IP6_C, IP6_A, bytes, true, 0);
		buf[19] = 8 + bytes;
		rig.a.count = 0;
		harness_send(rig.dp, from, buf, L4 + bytes, RIG_PLAIN, 0);
		assert_int_equal(rig.a.count, 0);
		assert_int_equal(arrives(from, DIRECT, bytes, false, PIECE), NOTHING);
		assert_int_equal(harness_drops(rig.dp, "fragment"), before + 2);
	}
}

/* A TCP header that the frame does not hold, a fragment header that it does not, and one that is a fragment again. */
static void what_is_cut_or_odd_goes_nowhere(void **state)
{
	uint64_t bad = harness_drops(rig.dp, "malformed");

	for (size_t len = 54; len < L4 + 20; len++) {
		write_request(TCP, CLIENT, 7, true, 0);
		buf[19] = (uint8_t)(len - 54);
		harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	}
	assert_int_equal(harness_drops(rig.dp, "malformed"), bad + 8);
	for (size_t len = L4; len < L4 + 30; len++) { /* lengths that contradict each other */
		write_request(UDP, CLIENT, 7, true, 0);
		harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	}
	write_request(UDP, CLIENT, 7, true, 0);
	buf[54] = FRAGMENT;
	memcpy(buf + L4, (const uint8_t[]){UDP, 0, 0, MORE, 0, 0, 0, 1}, 8);
	harness_send(rig.dp, &rig.a, buf, L4 + 88, RIG_PLAIN, 0);
	harness_send(rig.dp, &rig.a, buf, write_request(ICMP6, CLIENT, 8, true, 0), RIG_PLAIN, 0);
	harness_send(rig.dp, &rig.a, buf, write_request(ICMP6, CLIENT, 8, false, PIECE), RIG_PLAIN, 0);
	assert_int_equal(rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* One that begins datagrams without end forgets its own, and nobody else's: of both families together. */
static void who_sends_many_forgets_its_own(void **state)
{
	struct test_port *from = ask();
	unsigned kept = 0;

	assert_int_equal(arrives(from, CLIENT, 7, true, 0), TRANSLATED);
	for (unsigned id = 0; id < 4000; id++)
		assert_non_null(request(CLIENT, id, true, 0));
	for (unsigned id = 0; id < 4000; id++)
		kept += request(CLIENT, id, false, PIECE) != NULL;
	/* a few of 4,000 look like one that is there; those that wait take places too */
	assert_in_range(kept, LB_FRAGMENTS - HOLD_WAYS, LB_FRAGMENTS + 8);
	assert_int_equal(arrives(from, CLIENT, 7, false, PIECE), TRANSLATED);
}

/* A client that is its own backend: both ends of each fragment would have to be rewritten. */
static void fragments_to_oneself_are_dropped(void **state)
{
	const struct dp_backend self = {IP6_A, 5353, 1, false};
	uint64_t before = harness_drops(rig.dp, "fragment");

	put(DP_UDP, &self, 1, &rig.udp_service);
	assert_null(request(CLIENT, 103, true, 0));
	assert_null(request(CLIENT, 103, false, PIECE));
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 2);
}

/* The first fragment is the last to come, and the others follow it: of a request, an answer, and what is of no service. */
static void a_datagram_whose_first_fragment_is_late_is_whole(void **state)
{
	struct test_port *from = ask();
	uint64_t before = harness_drops(rig.dp, "fragment");

	assert_null(request(CLIENT, 200, false, 2 * PIECE));
	assert_null(request(CLIENT, 200, true, PIECE));
	assert_int_equal(arrives(from, CLIENT, 201, false, PIECE), NOTHING);
	assert_int_equal(arrives(from, DIRECT, 202, false, PIECE), NOTHING);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before);
	from->count = 0;
	harness_send(rig.dp, &rig.a, buf, write_request(UDP, CLIENT, 200, true, 0), RIG_PLAIN, 0);
	assert_int_equal(from->count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_memory_equal(from->got[i].data + DESTINATION, (from == &rig.b ? IP6_B : IP6_C).b, 16);
	rig.a.count = 0;
	harness_send(rig.dp, from, buf, write_answer(from == &rig.b, CLIENT, 201, true, 0), RIG_PLAIN, 0);
	harness_send(rig.dp, from, buf, write_answer(from == &rig.b, DIRECT, 202, true, 0), RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 4);
	for (unsigned i = 0; i < 2; i++) {
		assert_memory_equal(rig.a.got[i].data + SOURCE, IP6_VIP.b, 16);
		assert_memory_equal(rig.a.got[2 + i].data + SOURCE, (from == &rig.b ? IP6_B : IP6_C).b, 16);
	}
	assert_int_equal(harness_drops(rig.dp, "fragment"), before);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_in_fragments_goes_to_one_backend),
		TEST(a_request_without_its_first_fragment_is_dropped),
		TEST(a_request_whose_backend_has_gone_is_dropped),
		TEST(what_leaves_for_the_world_is_no_backends),
		TEST(an_answer_in_fragments_comes_from_the_vip),
		TEST(a_direct_conversation_goes_on),
		TEST(an_atomic_fragment_is_a_packet),
		TEST(a_first_fragment_without_its_whole_header_goes_nowhere),
		TEST(what_is_cut_or_odd_goes_nowhere),
		TEST(who_sends_many_forgets_its_own),
		TEST(fragments_to_oneself_are_dropped),
		TEST(a_datagram_whose_first_fragment_is_late_is_whole),
	};

	return cmocka_run_group_tests_name("service_fragment6", tests, rig_group_setup, rig_group_teardown);
}
