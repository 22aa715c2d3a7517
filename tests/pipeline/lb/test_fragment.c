/* Fragments to a vip and of a backend's answers: the later ones go where the first one, which has the ports, went. */
#include <string.h>

#include "dataplane/lb/fragment.h"
#include "dataplane/lb/hold.h"
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { CLIENT = 1234, DIRECT = 4321, MORE = 0x2000, PIECE = 88 };

enum arrival { NOTHING, AS_IT_IS, TRANSLATED };

static uint8_t buf[2048];

/* As at the start: nothing arrived, and nothing is kept. */
static void forget(void)
{
	rig.a.count = rig.b.count = rig.c.count = 0;
	hold_close(rig.dp->lb->held);
	rig.dp->lb->held = hold_open();
	assert_non_null(rig.dp->lb->held);
}

static int setup(void **state)
{
	forget(); /* also what the test before has had kept */
	return rig_setup(state);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

/* A client asks the UDP service; which backend has the connection? */
static struct test_port *ask(void)
{
	struct test_port *to;

	rig_client_says(UDP, CLIENT, 0);
	to = rig_reached();
	assert_non_null(to);
	return to;
}

/* Makes a fragment of the packet in buf; `offset` in bytes. The IP checksum is made right. */
static void make_fragment(uint16_t id, uint16_t flags, uint16_t offset)
{
	uint16_t field = flags | offset / 8;
	uint32_t sum = 0;

	memcpy(buf + 18,
		(const uint8_t[]){(uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(field >> 8), (uint8_t)field}, 4);
	memset(buf + 24, 0, 2);
	for (unsigned i = 14; i < 14u + (buf[14] & 15) * 4; i += 2)
		sum += (uint32_t)buf[i] << 8 | buf[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	buf[24] = (uint8_t)(sum >> 8);
	buf[25] = (uint8_t)sum;
}

static void assert_ip_sum(const struct received *r)
{
	uint32_t sum = 0;

	for (unsigned i = 14; i < 34; i += 2)
		sum += rig_field16(r, i);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

/* What became of what was sent: the same, or with one end of `at` (MAC and address) another's, and if it is the first
 * fragment that end's port. */
static enum arrival became(const struct received *r, size_t len, bool is_source, bool is_first)
{
	uint8_t expected[2048];
	size_t mac = is_source ? 6 : 0, ip = is_source ? 26 : 30, port = is_source ? 34 : 36;

	assert_int_equal(r->len, len);
	if (memcmp(r->data, buf, len) == 0)
		return AS_IT_IS;
	memcpy(expected, buf, len);
	memcpy(expected + mac, r->data + mac, 6);
	memcpy(expected + ip, r->data + ip, 4);
	memcpy(expected + 24, r->data + 24, 2);
	if (is_first) {
		memcpy(expected + port, r->data + port, 2);
		memcpy(expected + 40, r->data + 40, 2);
	}
	assert_memory_equal(r->data, expected, len);
	assert_ip_sum(r);
	return TRANSLATED;
}

/* A fragment of a backend's datagram to one of the client's ports. */
static enum arrival arrives(
	struct test_port *from, uint16_t client_port, uint16_t id, uint16_t flags, uint16_t offset)
{
	bool is_b = from == &rig.b || from == &rig.other_b;
	size_t len = rig_from_backend(buf, UDP, is_b, client_port, 0, 80);
	struct test_port *to = from == &rig.other_b || from == &rig.other_c ? &rig.other_a : &rig.a;
	enum arrival arrival;

	make_fragment(id, flags, offset);
	to->count = 0;
	harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
	if (!to->count)
		return NOTHING;
	arrival = became(&to->got[0], len, true, offset == 0);
	if (arrival == TRANSLATED) {
		rig_assert_ip(&to->got[0], 26, IP_VIP);
		assert_memory_equal(to->got[0].data + 6, dp_router_mac, 6);
	}
	return arrival;
}

/* A fragment of the client's datagram to the vip; which backend got it, translated? */
static struct test_port *request(uint16_t client_port, uint16_t id, uint16_t flags, uint16_t offset)
{
	size_t len = rig_to_vip(buf, UDP, client_port, 0, 80);
	struct test_port *to;

	make_fragment(id, flags, offset);
	rig.a.count = rig.b.count = rig.c.count = 0;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	to = rig.b.count ? &rig.b : rig.c.count ? &rig.c : NULL;
	assert_int_equal(rig.a.count + rig.b.count + rig.c.count, to != NULL);
	if (to) {
		assert_int_equal(became(&to->got[0], len, false, offset == 0), TRANSLATED);
		rig_assert_ip(&to->got[0], 30, to == &rig.b ? IP_B : IP_C);
		assert_memory_equal(to->got[0].data, to == &rig.b ? MAC_B : MAC_C, 6);
	}
	return to;
}

static void a_request_in_fragments_goes_to_one_backend(void **state)
{
	for (uint16_t i = 0; i < 20; i++) {
		struct test_port *to = request((uint16_t)(2000 + i), i, MORE, 0);

		assert_non_null(to);
		assert_ptr_equal(request((uint16_t)(2000 + i), i, MORE, PIECE), to);
		assert_ptr_equal(request((uint16_t)(2000 + i), i, 0, 2 * PIECE), to);
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void a_request_without_its_first_fragment_is_dropped(void **state)
{
	uint64_t before = harness_drops(rig.dp, "fragment");

	assert_null(request(CLIENT, 100, 0, PIECE));
	assert_non_null(request(CLIENT, 101, MORE, 0));
	assert_null(request(CLIENT, 102, 0, PIECE));
	rig.dp->worker[0]->now_s += 30;
	assert_non_null(request(CLIENT, 101, MORE, PIECE));
	rig.dp->worker[0]->now_s += 1; /* nobody puts it together any more */
	assert_null(request(CLIENT, 101, 0, 2 * PIECE));
	service_drop_late(rig.dp->worker[0]);
	assert_int_equal(
		harness_drops(rig.dp, "fragment"), before + 2); /* the last may still be waited for */
	rig.dp->worker[0]->now_s += 6;
	service_drop_late(rig.dp->worker[0]);
	service_drop_late(rig.dp->worker[0]);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 3);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void a_request_whose_backend_has_gone_is_dropped(void **state)
{
	const struct dp_backend none = {ip_from4(IP_A), 9, 0, false};
	uint64_t before = harness_drops(rig.dp, "no-backend");

	assert_non_null(request(CLIENT, 7, MORE, 0));
	assert_int_equal(rig_put(rig.net, 53, DP_UDP, &none, 1, &rig.udp_service), 0);
	assert_null(request(CLIENT, 7, 0, PIECE));
	assert_int_equal(harness_drops(rig.dp, "no-backend"), before + 1);
}

/* A guest's datagrams to the world outside are noted in the same row, and few bits tell them from those to a vip. */
static void what_leaves_for_the_world_is_no_backends(void **state)
{
	struct worker *w = rig.dp->worker[0];
	struct frame f = {.hdr_off = HDR_ROOM, .hdr_len = 64, .l3_off = 14, .net = rig.net};
	uint64_t before = harness_drops(rig.dp, "fragment");

	rig_to_vip(buf, UDP, CLIENT, 0, 80);
	make_fragment(7, 0, PIECE);
	memcpy(frame_data(&f), buf, f.hdr_len);
	f.src_vtep = VTEP_NONE;
	service_fragment_note6(w, rig.a.port, &f, service_fragment_hash(w, &f), FRAGMENT_TO_BACKEND,
		FRAGMENT_EGRESS | 0x2ffff, (struct ip_addr){0});
	assert_null(request(CLIENT, 7, 0, PIECE));
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 1);
}

static void an_answer_in_fragments_comes_from_the_vip(void **state)
{
	struct test_port *from = ask();

	assert_int_equal(arrives(from, CLIENT, 7, MORE, 0), TRANSLATED);
	assert_int_equal(rig_field16(&rig.a.got[0], 34), 53);
	assert_int_equal(arrives(from, CLIENT, 7, MORE, PIECE), TRANSLATED);
	assert_int_equal(arrives(from, CLIENT, 7, 0, 2 * PIECE), TRANSLATED);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void a_direct_conversation_goes_on(void **state)
{
	struct test_port *from = ask(), *same = from == &rig.b ? &rig.other_b : &rig.other_c;
	struct test_port *another = from == &rig.b ? &rig.c : &rig.b;

	assert_int_equal(arrives(from, CLIENT, 7, MORE, 0), TRANSLATED);
	assert_int_equal(arrives(from, DIRECT, 8, MORE, 0), AS_IT_IS);
	assert_int_equal(arrives(from, DIRECT, 8, 0, PIECE), AS_IT_IS);
	assert_int_equal(arrives(same, CLIENT, 7, MORE, 0), AS_IT_IS); /* in another network */
	assert_int_equal(arrives(same, CLIENT, 7, 0, PIECE), AS_IT_IS);
	assert_int_equal(arrives(another, CLIENT, 7, MORE, 0), AS_IT_IS);
	assert_int_equal(arrives(another, CLIENT, 7, 0, PIECE), AS_IT_IS);
	assert_int_equal(arrives(from, CLIENT, 7, 0, PIECE), TRANSLATED);
}

static void an_id_is_used_again(void **state)
{
	struct test_port *from = ask();

	assert_int_equal(arrives(from, CLIENT, 7, MORE, 0), TRANSLATED);
	assert_int_equal(
		arrives(from, DIRECT, 7, MORE, 0), AS_IT_IS); /* the same id, for a datagram of its own */
	assert_int_equal(arrives(from, DIRECT, 7, 0, PIECE), AS_IT_IS);
}

static void a_first_fragment_without_its_whole_header_goes_nowhere(void **state)
{
	struct test_port *from = ask();
	size_t len;

	for (uint8_t bytes = 0; bytes < 8; bytes++) {
		uint64_t before = harness_drops(rig.dp, "fragment");

		len = rig_from_backend(buf, UDP, from == &rig.b, DIRECT, 0, 80);
		buf[16] = 0;
		buf[17] = 20 + bytes;
		make_fragment(bytes, MORE, 0);
		rig.a.count = 0;
		harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
		assert_int_equal(rig.a.count, 0);
		assert_int_equal(arrives(from, DIRECT, bytes, 0, PIECE), NOTHING);
		assert_int_equal(harness_drops(rig.dp, "fragment"), before + 2);
	}
}

/* A TCP header that the frame does not hold. */
static void a_first_fragment_that_is_cut_goes_nowhere(void **state)
{
	size_t len = rig_to_vip(buf, TCP, CLIENT, SYN, 0);

	make_fragment(7, MORE, 0);
	for (size_t cut = 1; cut <= 20; cut++) {
		harness_send(rig.dp, &rig.a, buf, len - cut, RIG_PLAIN, 0);
		assert_int_equal(rig.b.count + rig.c.count, 0);
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* Ports behind IP options, out of the first private bytes. */
static void ports_behind_options_are_found(void **state)
{
	struct test_port *from = ask();
	uint8_t plain[2048];
	size_t len = rig_from_backend(plain, UDP, from == &rig.b, CLIENT, 0, 80);

	memcpy(buf, plain, 34);
	memset(buf + 34, 1, 40);
	memcpy(buf + 74, plain + 34, len - 34);
	buf[14] = 0x4f;
	buf[17] = (uint8_t)(buf[17] + 40);
	make_fragment(7, MORE, 0);
	rig.a.count = 0;
	harness_send(rig.dp, from, buf, len + 40, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], 26, IP_VIP);
	assert_int_equal(rig_field16(&rig.a.got[0], 74), 53);
	buf[77] ^= 1; /* another port of the client's */
	harness_send(rig.dp, from, buf, len + 40, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 2);
	assert_memory_equal(rig.a.got[1].data, buf, len + 40);
}

/* As many datagrams under way as a port remembers are whole, or nearly: they share buckets of eight. */
static void a_port_remembers_many_datagrams(void **state)
{
	enum { MANY = LB_FRAGMENTS / 4 };
	struct test_port *to[MANY];

	for (unsigned id = 0; id < MANY; id++)
		to[id] = request(CLIENT, (uint16_t)id, MORE, 0);
	for (unsigned id = 0; id < MANY; id++)
		assert_ptr_equal(request(CLIENT, (uint16_t)id, 0, PIECE), to[id]);
}

/* One that begins datagrams without end forgets its own, and nobody else's. */
static void who_sends_many_forgets_its_own(void **state)
{
	struct test_port *from = ask();
	unsigned kept = 0;

	assert_int_equal(arrives(from, CLIENT, 7, MORE, 0), TRANSLATED);
	for (unsigned id = 0; id < 4000; id++)
		assert_non_null(request(CLIENT, (uint16_t)id, MORE, 0));
	for (unsigned id = 0; id < 4000; id++)
		kept += request(CLIENT, (uint16_t)id, 0, PIECE) != NULL;
	/* a few of 4,000 look like one that is there; those that wait take places too */
	assert_in_range(kept, LB_FRAGMENTS - HOLD_WAYS, LB_FRAGMENTS + 8);
	assert_int_equal(arrives(from, CLIENT, 7, 0, PIECE), TRANSLATED);
}

/* A client that is its own backend: both ends of each fragment would have to be rewritten. */
static void fragments_to_oneself_are_dropped(void **state)
{
	const struct dp_backend self = {ip_from4(IP_A), 5353, 1, false};
	uint64_t before = harness_drops(rig.dp, "fragment");

	assert_int_equal(rig_put(rig.net, 53, DP_UDP, &self, 1, &rig.udp_service), 0);
	rig.dp->worker[0]->now_s += 31; /* one of those before may look the same, and is forgotten */
	assert_null(request(CLIENT, 103, MORE, 0));
	assert_null(request(CLIENT, 103, 0, PIECE));
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 2);
}

/* A fragment of the client's to the vip, whatever becomes of it. */
static void ask_piece(uint16_t client_port, uint16_t id, uint16_t flags, uint16_t offset)
{
	size_t len = rig_to_vip(buf, UDP, client_port, 0, 80);

	make_fragment(id, flags, offset);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
}

/* The only backend that something reached. */
static struct test_port *reached(void)
{
	assert_true(!rig.b.count != !rig.c.count);
	return rig.b.count ? &rig.b : &rig.c;
}

/* The first fragment is the last to come, and the others follow it. */
static void a_request_whose_first_fragment_is_late_is_whole(void **state)
{
	uint64_t before = harness_drops(rig.dp, "fragment");
	struct test_port *to;

	forget();
	ask_piece(CLIENT, 200, 0, 2 * PIECE);
	ask_piece(CLIENT, 200, MORE, PIECE);
	ask_piece(CLIENT, 201, 0, PIECE); /* of another datagram */
	assert_int_equal(rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before);
	ask_piece(CLIENT, 200, MORE, 0);
	to = reached();
	assert_int_equal(to->count, 3);
	for (unsigned i = 0; i < 3; i++) {
		rig_assert_ip(&to->got[i], 30, to == &rig.b ? IP_B : IP_C);
		assert_memory_equal(to->got[i].data, to == &rig.b ? MAC_B : MAC_C, 6);
		assert_ip_sum(&to->got[i]);
	}
	assert_int_equal(harness_drops(rig.dp, "fragment"), before);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
	assert_ptr_equal(request(CLIENT, 200, 0, 3 * PIECE), to); /* what comes behind goes at once */
}

/* Of an answer likewise; and what has nothing to do with a vip goes on as it is. */
static void an_answer_whose_first_fragment_is_late_is_whole(void **state)
{
	struct test_port *from = ask();

	forget();
	for (unsigned direct = 0; direct < 2; direct++) {
		uint16_t port = direct ? DIRECT : CLIENT, id = (uint16_t)(210 + direct);

		assert_int_equal(arrives(from, port, id, 0, PIECE), NOTHING);
		rig.a.count = 0;
		arrives(from, port, id, MORE, 0);
		assert_int_equal(rig.a.count, 2);
		for (unsigned i = 0; i < 2; i++)
			rig_assert_ip(&rig.a.got[i], 26, direct ? (from == &rig.b ? IP_B : IP_C) : IP_VIP);
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void what_waits_for_a_first_one_that_goes_nowhere_is_dropped(void **state)
{
	const struct dp_backend dead = {ip_from4(IP_B), 5353, 1, true};
	uint64_t before = harness_drops(rig.dp, "fragment");

	assert_int_equal(rig_put(rig.net, 53, DP_UDP, &dead, 1, &rig.udp_service), 0);
	forget();
	ask_piece(CLIENT, 220, 0, PIECE);
	ask_piece(CLIENT, 220, MORE, 0);
	ask_piece(CLIENT, 220, 0, 2 * PIECE);
	assert_int_equal(rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 2);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* A million without a first one take the sender's places alone; all but those that wait are counted. */
static void who_sends_no_first_fragments_hurts_itself(void **state)
{
	struct test_port *from = ask();
	uint64_t before;

	forget();
	before = harness_drops(rig.dp, "fragment");
	for (unsigned i = 0; i <= HOLD_WAYS; i++)
		ask_piece(CLIENT, 230, MORE, (uint16_t)((i + 1) * PIECE));
	for (unsigned i = 0; i < 1000000; i++)
		ask_piece(CLIENT, (uint16_t)(i | 0x100), MORE, PIECE);
	assert_int_equal(rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 1 + 1000000);
	assert_int_equal(arrives(from, CLIENT, 231, 0, PIECE), NOTHING); /* another sender's */
	rig.a.count = 0;
	arrives(from, CLIENT, 231, MORE, 0);
	assert_int_equal(rig.a.count, 2);
	ask_piece(CLIENT, 230, MORE, 0);
	assert_int_equal(reached()->count, 1 + HOLD_WAYS);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* Without room for what a backend sends it goes on as it is: who puts it together knows. */
static void an_answer_that_there_is_no_room_for_goes_on(void **state)
{
	struct test_port *from = ask();
	uint16_t kept = 0;

	forget();
	/* a place is kept for a second: where this goes slowly, more find one */
	while (kept < 9 * HOLD_WAYS && arrives(from, DIRECT, 300 + kept, 0, PIECE) == NOTHING)
		kept++;
	assert_in_range(kept, HOLD_WAYS, 9 * HOLD_WAYS - 1);
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
		TEST(an_id_is_used_again),
		TEST(a_first_fragment_without_its_whole_header_goes_nowhere),
		TEST(a_first_fragment_that_is_cut_goes_nowhere),
		TEST(ports_behind_options_are_found),
		TEST(a_port_remembers_many_datagrams),
		TEST(who_sends_many_forgets_its_own),
		TEST(fragments_to_oneself_are_dropped),
		TEST(a_request_whose_first_fragment_is_late_is_whole),
		TEST(an_answer_whose_first_fragment_is_late_is_whole),
		TEST(what_waits_for_a_first_one_that_goes_nowhere_is_dropped),
		TEST(an_answer_that_there_is_no_room_for_goes_on),
		TEST(who_sends_no_first_fragments_hurts_itself),
	};

	return cmocka_run_group_tests_name("service_fragment", tests, rig_group_setup, rig_group_teardown);
}
