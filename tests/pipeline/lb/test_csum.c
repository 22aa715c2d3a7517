/* Checksums of packets to and from services, whole and left to the receiver. */
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

static uint16_t pseudo_sum(const uint8_t *buf, size_t l4_len)
{
	uint32_t sum = buf[23] + (uint32_t)l4_len;

	for (size_t i = 26; i < 34; i += 2)
		sum += (uint32_t)(buf[i] << 8 | buf[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Leaves the checksum of the packet to the receiver: the field gets the sum of the pseudo header. */
static void make_partial(uint8_t *buf, size_t len, size_t at)
{
	uint16_t sum = pseudo_sum(buf, len - 34);

	buf[at] = (uint8_t)(sum >> 8);
	buf[at + 1] = (uint8_t)sum;
}

static void assert_partial(const struct received *r, size_t at)
{
	assert_int_equal(r->off.flags, NEEDS_CSUM);
	assert_int_equal(rig_field16(r, at), pseudo_sum(r->data, r->len - 34));
}

static void partial_round_trip(uint8_t proto, uint8_t csum_offset)
{
	const struct offload off = {.flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = csum_offset};
	size_t at = 34 + csum_offset, len;
	uint8_t buf[2048];
	struct test_port *to;

	rig.a.port->offloads = rig.b.port->offloads = rig.c.port->offloads = PORT_CSUM;
	len = rig_to_vip(buf, proto, 1234, SYN, 100);
	make_partial(buf, len, at);
	harness_send(rig.dp, &rig.a, buf, len, off, 0);
	to = rig.b.count ? &rig.b : &rig.c;
	assert_int_equal(to->count, 1);
	assert_partial(&to->got[0], at);

	len = rig_from_backend(buf, proto, to == &rig.b, 1234, SYN | ACK, 100);
	make_partial(buf, len, at);
	harness_send(rig.dp, to, buf, len, off, 0);
	assert_int_equal(rig.a.count, 1);
	assert_partial(&rig.a.got[0], at);
	rig.a.port->offloads = rig.b.port->offloads = rig.c.port->offloads = 0;
}

static void test_partial_tcp_checksum_stays_partial(void **state)
{
	partial_round_trip(TCP, 16);
}

static void test_partial_udp_checksum_stays_partial(void **state)
{
	partial_round_trip(UDP, 6);
}

/* For a receiver that takes no partial checksums the switch completes what NAT has changed. */
static void test_partial_checksum_is_completed(void **state)
{
	const struct offload off = {.flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	uint8_t buf[2048];
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 100);
	const struct received *r;

	make_partial(buf, len, 50);
	harness_send(rig.dp, &rig.a, buf, len, off, 0);
	assert_int_equal(rig.b.count + rig.c.count, 1);
	r = rig.b.count ? &rig.b.got[0] : &rig.c.got[0];
	assert_int_equal(r->off.flags & NEEDS_CSUM, 0);
	assert_true(packet_checksums_right(r->data, r->len));
}

static void test_udp_without_checksum_stays_without(void **state)
{
	uint8_t buf[2048];
	size_t len = rig_to_vip(buf, UDP, 1234, 0, 10);

	buf[40] = buf[41] = 0;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig_field16(rig.b.count ? &rig.b.got[0] : &rig.c.got[0], 40), 0);
}

/* Tries payloads until the rewritten checksum is one's complement zero. */
static void test_udp_checksum_is_never_sent_as_none(void **state)
{
	uint8_t buf[2048];
	struct test_port *to = NULL;

	for (uint32_t word = 0; word <= 0xffff; word++) {
		size_t len = rig_to_vip(buf, UDP, 1234, 0, 2);
		uint32_t sum = (uint32_t)(buf[40] << 8 | buf[41]) + 1 +
			       (~word & 0xffff); /* payload 0x0001 to word */

		sum = (sum & 0xffff) + (sum >> 16);
		buf[40] = (uint8_t)(sum >> 8);
		buf[41] = (uint8_t)sum;
		buf[42] = (uint8_t)(word >> 8);
		buf[43] = (uint8_t)word;
		if (!buf[40] && !buf[41])
			continue;
		rig.b.count = rig.c.count = 0;
		harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
		to = rig.b.count ? &rig.b : &rig.c;
		assert_int_not_equal(rig_field16(&to->got[0], 40), 0);
		if (rig_field16(&to->got[0], 40) == 0xffff)
			return;
	}
	fail();
}

static void test_a_corrupted_packet_stays_corrupted(void **state)
{
	uint8_t buf[2048];
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 10);

	buf[60] ^= 0x40;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_false(packet_checksums_right((rig.b.count ? &rig.b : &rig.c)->got[0].data, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_partial_tcp_checksum_stays_partial),
		RIG_TEST(test_partial_udp_checksum_stays_partial),
		RIG_TEST(test_partial_checksum_is_completed),
		RIG_TEST(test_udp_without_checksum_stays_without),
		RIG_TEST(test_udp_checksum_is_never_sent_as_none),
		RIG_TEST(test_a_corrupted_packet_stays_corrupted),
	};

	return cmocka_run_group_tests_name("service_csum", tests, rig_group_setup, rig_group_teardown);
}
