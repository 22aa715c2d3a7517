/* SCTP checksums that a kernel leaves to others, against CRC32c bit by bit. */
#include "dataplane/frame/sctp.h"
#include "dataplane/port/vnet.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

enum { CSUM = 8 };

static struct burst burst;
static struct flat flat;
static uint8_t got[FRAME_MAX];

static uint32_t reference(const uint8_t *p, uint32_t len)
{
	uint32_t crc = UINT32_MAX;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* What UDP's header would be becomes the first half of SCTP's; flat_finish() has set the IP lengths. */
static void make(uint8_t version, uint32_t payload, uint8_t tags)
{
	const struct recipe recipe = {
		.version = version, .proto = IPPROTO_UDP, .payload = payload, .tags = tags};
	uint8_t *ip = flat.data;

	flat_make(&flat, &recipe, true);
	ip += flat.l3;
	ip[version == 4 ? 9 : 6] = IPPROTO_SCTP;
	memset(flat.data + flat.l4 + 4, 0x77, 8); /* the checksum's place may hold anything */
}

static struct frame *request(uint32_t step)
{
	struct frame *f;

	burst.count = burst.nspan = 0;
	f = split(&burst, flat.data, flat.len, 64, step);
	f->off = (struct offload){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = flat.l4, .csum_offset = CSUM};
	return f;
}

static void test_crc32c_of_the_check_value(void **state)
{
	assert_int_equal(reference((const uint8_t *)"123456789", 9), 0xe3069283);
}

static void test_checksum(void **state)
{
	static const uint32_t steps[] = {0, 50, 333}, payloads[] = {4, 5, 60, 1400, 8000};

	for (unsigned i = 0; i < 3 * 5 * 4; i++) {
		uint32_t crc;
		struct frame *f;

		make(i & 1 ? 4 : 6, payloads[i % 5], i >> 1 & 1);
		f = request(steps[i % 3]);
		memset(flat.data + flat.l4 + CSUM, 0, 4);
		crc = reference(flat.data + flat.l4, flat.len - flat.l4);
		memcpy(flat.data + flat.l4 + CSUM, &crc, 4);
		assert_true(sctp_serve(f));
		assert_int_equal(f->off.flags, 0);
		frame_copy(f, got);
		assert_memory_equal(got, flat.data, flat.len);
	}
}

static void test_refused(void **state)
{
	struct frame *f;

	make(4, 100, 0);
	f = request(0);
	f->off.csum_start++;
	assert_false(sctp_serve(f));
	f = request(0);
	f->off.csum_offset = 6;
	assert_false(sctp_serve(f));
	f = request(0);
	f->off.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	assert_false(sctp_serve(f));
	make(4, 3, 0); /* ends inside the header */
	assert_false(sctp_serve(request(0)));
	flat.data[flat.l3 + 9] = IPPROTO_UDP;
	assert_false(sctp_serve(request(0)));
}

/* By the door that TAP and packet sockets use. */
static void test_frames_from_the_kernel_get_their_checksum(void **state)
{
	const struct port port = {.is_uplink = false};
	struct virtio_net_hdr hdr;
	struct frame *f;

	make(4, 1000, 0);
	f = request(0);
	memcpy(&hdr, &f->off, sizeof(hdr));
	assert_int_equal(vnet_take(&port, f, &hdr), DROP_COUNT);
	assert_int_equal(f->off.flags, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_of_the_check_value),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_frames_from_the_kernel_get_their_checksum),
	};

	return cmocka_run_group_tests_name("sctp", tests, NULL, NULL);
}
