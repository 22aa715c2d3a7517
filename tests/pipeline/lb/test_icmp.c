/* ICMP errors about balanced packets: they reach whoever sent the packet, in its own terms, and nobody else. */
#include <stdlib.h>
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum {
	IP_AT = 14,
	ICMP_AT = 34,
	QUOTE_AT = 42,
	UNREACHABLE = 3,
	NEEDED = 4,
	QUOTED = 548,
	FUZZ_ROUNDS = 20000
};

static const mac_t MAC_ROUTER = {2, 0, 0, 0, 0, 0xd}; /* of a guest's own: behind a's port */
#define IP_ROUTER htobe32(UINT32_C(0x0a000006))

static uint16_t sum_of(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n & 1)
		sum += (uint32_t)p[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* An error from `src` to `to` that quotes n bytes of an IP packet. Returns its length. */
static size_t write_error(uint8_t *buf, const uint8_t *mac_to, const uint8_t *mac_from, uint32_t from,
	uint32_t to, const uint8_t *quote, size_t n)
{
	size_t len = packet_ip4(buf, &(struct packet){mac_to, mac_from, from, to, 1, 0, 0, 0, n});

	buf[ICMP_AT] = UNREACHABLE;
	buf[ICMP_AT + 1] = NEEDED;
	put16(buf + ICMP_AT + 6, 1300);
	memcpy(buf + QUOTE_AT, quote, n);
	put16(buf + ICMP_AT + 2, 0);
	put16(buf + ICMP_AT + 2, (uint16_t)~sum_of(buf + ICMP_AT, len - ICMP_AT));
	return len;
}

struct talk {
	struct test_port *backend;
	const uint8_t *backend_mac;
	uint32_t backend_ip;
	/* from the Ethernet header on: what was sent, and what became of it */
	uint8_t request[2048], request_as_got[2048], answer[2048], answer_as_got[2048];
	size_t request_len, answer_len;
};

/* A request through the vip and its answer. */
static struct talk talk(uint8_t proto, uint16_t client_port, size_t payload)
{
	struct talk t = {0};

	t.request_len = rig_to_vip(t.request, proto, client_port, SYN, payload);
	harness_send(rig.dp, &rig.a, t.request, t.request_len, RIG_PLAIN, 0);
	t.backend = rig_reached();
	assert_non_null(t.backend);
	t.backend_mac = t.backend == &rig.b ? MAC_B : MAC_C;
	t.backend_ip = t.backend == &rig.b ? IP_B : IP_C;
	memcpy(t.request_as_got, t.backend->got[0].data, t.request_len);
	t.answer_len =
		rig_from_backend(t.answer, proto, t.backend == &rig.b, client_port, SYN | ACK, payload);
	rig.a.count = 0;
	harness_send(rig.dp, t.backend, t.answer, t.answer_len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	memcpy(t.answer_as_got, rig.a.got[0].data, t.answer_len);
	rig.a.count = 0;
	return t;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The client's side complains of an answer: the backend hears of it as if it had been the one complained to. */
static void complain_of_answer(uint8_t proto, size_t payload, size_t quoted)
{
	struct talk t = talk(proto, 1234, payload);
	uint8_t buf[2048];
	const struct received *r = &t.backend->got[0];
	size_t n = least(quoted, t.answer_len - IP_AT);
	size_t len =
		write_error(buf, dp_router_mac, MAC_ROUTER, IP_ROUTER, IP_VIP, t.answer_as_got + IP_AT, n);

	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_ptr_equal(rig_reached(), t.backend);
	assert_int_equal(r->len, len);
	assert_memory_equal(r->data, t.backend_mac, 6);
	assert_memory_equal(r->data + 6, MAC_ROUTER, 6);
	rig_assert_ip(r, 26, IP_ROUTER);
	rig_assert_ip(r, 30, t.backend_ip);
	assert_true(packet_checksums_right(r->data, r->len));
	assert_int_equal(rig_field16(r, ICMP_AT + 6), 1300);
	assert_memory_equal(r->data + QUOTE_AT, t.answer + IP_AT, n);
}

static void test_an_error_about_an_answer_reaches_the_backend(void **state)
{
	static const size_t quoted[] = {28, 29, 36, 38, 39, 40, 60, QUOTED};

	for (size_t i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++) {
		complain_of_answer(TCP, 600, quoted[i]);
		complain_of_answer(UDP, 600, quoted[i]);
		complain_of_answer(UDP, 0, quoted[i]);
	}
}

/* The backend's side, it or a router there, complains of a request: the client hears of it from the vip. */
static void complain_of_request(
	uint8_t proto, const uint8_t *mac, uint32_t from, size_t quoted, uint8_t type, uint8_t code)
{
	struct talk t = talk(proto, 1234, 600);
	const struct received *r = &rig.a.got[0];
	uint8_t buf[2048];
	size_t n = least(quoted, t.request_len - IP_AT);
	size_t len = write_error(buf, MAC_A, mac, from, IP_A, t.request_as_got + IP_AT, n);

	buf[ICMP_AT] = type;
	buf[ICMP_AT + 1] = code;
	put16(buf + ICMP_AT + 2, 0);
	put16(buf + ICMP_AT + 2, (uint16_t)~sum_of(buf + ICMP_AT, len - ICMP_AT));
	harness_send(rig.dp, t.backend, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(r->len, len);
	assert_memory_equal(r->data, MAC_A, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	rig_assert_ip(r, 26, IP_VIP);
	rig_assert_ip(r, 30, IP_A);
	assert_int_equal(r->data[ICMP_AT], type);
	assert_int_equal(r->data[ICMP_AT + 1], code);
	assert_true(packet_checksums_right(r->data, r->len));
	assert_memory_equal(r->data + QUOTE_AT, t.request + IP_AT, n);
}

static void test_an_error_about_a_request_comes_from_the_vip(void **state)
{
	static const uint8_t kinds[][2] = {{3, 3}, {3, 4}, {3, 1}, {11, 0}, {12, 0}};

	for (size_t i = 0; i < 5; i++) {
		complain_of_request(UDP, MAC_B, IP_B, 28, kinds[i][0], kinds[i][1]);
		complain_of_request(TCP, MAC_ROUTER, IP_ROUTER, QUOTED, kinds[i][0], kinds[i][1]);
	}
}

static void test_a_quotation_without_checksum_stays_without(void **state)
{
	struct talk t = talk(UDP, 1234, 100);
	uint8_t buf[2048];
	size_t len;

	t.answer_as_got[40] = t.answer_as_got[41] = 0;
	len = write_error(buf, dp_router_mac, MAC_A, IP_A, IP_VIP, t.answer_as_got + IP_AT, 28);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_int_equal(t.backend->count, 1);
	assert_int_equal(rig_field16(&t.backend->got[0], QUOTE_AT + 26), 0);
	assert_true(packet_checksums_right(t.backend->got[0].data, len));
	rig_reached();
}

/* Sends the error with one byte changed; returns whether it reached a backend. */
static bool reaches_with(const uint8_t *error, size_t len, size_t at, uint8_t value)
{
	uint8_t buf[2048];

	memcpy(buf, error, len);
	buf[at] = value;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	return rig_reached() != NULL;
}

static void test_what_is_of_no_connection_is_dropped(void **state)
{
	struct talk t = talk(TCP, 1234, 100);
	uint8_t buf[2048];
	size_t len = write_error(buf, dp_router_mac, MAC_A, IP_A, IP_VIP, t.answer_as_got + IP_AT, QUOTED),
	       n = 0;
	uint64_t before = harness_drops(rig.dp, "vip-miss");
	const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {
		{ICMP_AT, 5},	     /* a redirect */
		{ICMP_AT, 4},	     /* source quench, which nobody may send any more */
		{QUOTE_AT, 0x65},    /* not IPv4 */
		{QUOTE_AT, 0x44},    /* a header that is none */
		{QUOTE_AT, 0x4f},    /* ports elsewhere */
		{QUOTE_AT + 7, 1},   /* a later fragment */
		{QUOTE_AT + 9, 17},  /* of another protocol */
		{QUOTE_AT + 9, 1},   /* of none that is balanced */
		{QUOTE_AT + 15, 99}, /* not what the vip sent */
		{QUOTE_AT + 19, 99}, /* not to a client of it */
		{QUOTE_AT + 21, 81}, /* another of its ports */
		{QUOTE_AT + 23, 0},  /* another of the client's */
	};

	for (; n < sizeof(wrong) / sizeof(wrong[0]); n++)
		if (reaches_with(buf, len, wrong[n].at, wrong[n].value))
			fail_msg("case %zu reached a backend", n);
	assert_int_equal(harness_drops(rig.dp, "vip-miss"), before + n);
	assert_true(reaches_with(buf, len, ICMP_AT + 1, 4));
}

static void test_a_quotation_cut_off_is_dropped(void **state)
{
	struct talk t = talk(TCP, 1234, 100);
	uint8_t buf[2048];

	for (size_t n = 0; n < 28; n++) {
		size_t len = write_error(buf, dp_router_mac, MAC_A, IP_A, IP_VIP, t.answer_as_got + IP_AT, n);

		memset(buf + len, 0, 100); /* padding is not quoted */
		memcpy(buf + QUOTE_AT, t.answer_as_got + IP_AT, 40);
		harness_send(rig.dp, &rig.a, buf, len + 40, RIG_PLAIN, 0);
		assert_null(rig_reached());
	}
}

/* An error between two others that names a connection's packet, and one in a network without it. */
static void test_nobody_elses_errors_are_touched(void **state)
{
	struct talk t = talk(UDP, 1234, 100);
	uint8_t buf[2048];
	size_t len = write_error(buf, MAC_A, t.backend_mac, t.backend_ip, IP_A, t.request_as_got + IP_AT, 28);

	harness_send(rig.dp, t.backend == &rig.b ? &rig.other_b : &rig.other_c, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.other_a.count, 1);
	assert_memory_equal(rig.other_a.got[0].data, buf, len);
	buf[33] = 0x77; /* not to the client that is quoted */
	harness_send(rig.dp, t.backend, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data, buf, len);
	rig.a.count = 0;
	len = write_error(
		buf, MAC_A, t.backend_mac, t.backend_ip, IP_A, t.request + IP_AT, 28); /* as it was sent */
	harness_send(rig.dp, t.backend, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data, buf, len);
}

static void test_a_backend_that_is_gone_is_told_nothing(void **state)
{
	struct talk t = talk(TCP, 1234, 100);
	uint8_t buf[2048];
	size_t len = write_error(buf, dp_router_mac, MAC_A, IP_A, IP_VIP, t.answer_as_got + IP_AT, QUOTED);
	uint64_t before = harness_drops(rig.dp, "no-backend");

	rig_weigh(-1, -1);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_null(rig_reached());
	assert_int_equal(harness_drops(rig.dp, "no-backend"), before + 1);
}

static uint32_t random_state = 12345;

static uint32_t random_of(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

/* Bytes of errors changed at will, cut off anywhere, in pieces: nothing is read or written outside (by the sanitizers),
 * and the books balance (by the teardown). */
static void test_errors_that_mean_ill(void **state)
{
	struct talk t = talk(TCP, 1234, 200);
	uint8_t buf[2048];

	for (unsigned i = 0; i < FUZZ_ROUNDS; i++) {
		bool up = random_of(2);
		size_t len = up ? write_error(buf, dp_router_mac, MAC_A, IP_A, IP_VIP,
					  t.answer_as_got + IP_AT, random_of(200))
				: write_error(buf, MAC_A, t.backend_mac, t.backend_ip, IP_A,
					  t.request_as_got + IP_AT, random_of(200));

		for (unsigned k = random_of(4); k > 0; k--)
			buf[14 + random_of((uint32_t)len - 14)] = (uint8_t)random_of(256);
		len -= random_of(8) ? 0 : random_of((uint32_t)len - 14);
		harness_send(rig.dp, up ? &rig.a : t.backend, buf, len, RIG_PLAIN,
			random_of(3) ? 0 : 4 + random_of(40));
		rig.a.count = rig.b.count = rig.c.count = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_an_error_about_an_answer_reaches_the_backend),
		RIG_TEST(test_an_error_about_a_request_comes_from_the_vip),
		RIG_TEST(test_a_quotation_without_checksum_stays_without),
		RIG_TEST(test_what_is_of_no_connection_is_dropped),
		RIG_TEST(test_a_quotation_cut_off_is_dropped),
		RIG_TEST(test_nobody_elses_errors_are_touched),
		RIG_TEST(test_a_backend_that_is_gone_is_told_nothing),
		RIG_TEST(test_errors_that_mean_ill),
	};

	return cmocka_run_group_tests_name("service_icmp", tests, rig_group_setup, rig_group_teardown);
}
