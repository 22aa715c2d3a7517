/* The segments of half-open probes as bytes. */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

#include "registry/probe/segment.h"
#include "tests/unit/unit.h"

enum { IP = sizeof(struct iphdr), TCP = sizeof(struct tcphdr) };

static const struct segment_ends sent = {.from_port = 40000, .to_port = 8080};

static struct segment_ends ends_of(void)
{
	struct segment_ends ends = sent;

	ends.from = inet_addr("10.1.0.1");
	ends.to = inet_addr("10.1.0.77");
	return ends;
}

/* The sum of everything with the pseudo-header, which is all ones when the checksum is right (RFC 1071). */
static uint16_t sum_up(const struct segment_ends *ends, const uint8_t *segment, size_t len)
{
	uint8_t bytes[64] = {0};
	uint32_t sum = 0;

	memcpy(bytes, &ends->from, 4);
	memcpy(bytes + 4, &ends->to, 4);
	bytes[9] = IPPROTO_TCP;
	bytes[11] = (uint8_t)len;
	memcpy(bytes + 12, segment, len);
	for (size_t i = 0; i < 12 + len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void a_syn_is_whole(void **state)
{
	static const uint32_t numbers[] = {0, 1, 0xffffffff, 0x12345678, 0xfffe0001};
	struct segment_ends ends = ends_of(), quoted = {0};
	uint8_t syn[SEGMENT_SYN];
	struct tcphdr tcp;
	uint32_t number;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		segment_syn(&ends, numbers[i], syn);
		memcpy(&tcp, syn, sizeof(tcp));
		assert_int_equal(ntohs(tcp.source), 40000);
		assert_int_equal(ntohs(tcp.dest), 8080);
		assert_int_equal(ntohl(tcp.seq), numbers[i]);
		assert_int_equal(syn[13], TH_SYN);
		assert_int_equal(tcp.doff * 4, SEGMENT_SYN);
		assert_int_equal(sum_up(&ends, syn, SEGMENT_SYN), 0xffff);
		assert_true(segment_quoted(syn, SEGMENT_QUOTED, &quoted, &number));
		assert_int_equal(number, numbers[i]);
		assert_int_equal(quoted.from_port, 40000);
		assert_int_equal(quoted.to_port, 8080);
		assert_false(segment_quoted(syn, SEGMENT_QUOTED - 1, &quoted, &number));
	}
}

/* What the target sends back to a SYN with this number. Returns its bytes. */
static size_t write_answer(uint8_t packet[128], unsigned ihl, uint8_t flags, uint32_t number)
{
	struct segment_ends ends = ends_of();
	struct iphdr ip = {.version = 4, .protocol = IPPROTO_TCP, .saddr = ends.to, .daddr = ends.from};
	struct tcphdr tcp = {.source = htons(ends.to_port),
		.dest = htons(ends.from_port),
		.ack_seq = htonl(number + 1),
		.doff = 5};

	ip.ihl = ihl & 15;
	memset(packet, 0xff, 128);
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + (size_t)ihl * 4, &tcp, sizeof(tcp));
	packet[ihl * 4 + 13] = flags;
	return (size_t)ihl * 4 + TCP;
}

static void answers_are_read(void **state)
{
	static const struct {
		uint8_t flags;
		enum segment_kind kind;
	} rows[] = {
		{TH_SYN | TH_ACK, SEGMENT_OPEN},
		{TH_SYN | TH_ACK | 0x40, SEGMENT_OPEN}, /* ECN-Echo */
		{TH_RST | TH_ACK, SEGMENT_REFUSED},
		{TH_RST, SEGMENT_OTHER},
		{TH_SYN, SEGMENT_OTHER},
		{TH_ACK, SEGMENT_OTHER},
		{TH_ACK | TH_PUSH, SEGMENT_OTHER},
		{TH_SYN | TH_RST | TH_ACK, SEGMENT_OTHER},
		{TH_SYN | TH_FIN | TH_ACK, SEGMENT_OTHER},
		{0, SEGMENT_OTHER},
	};
	struct segment_ends ends;
	uint8_t packet[128];
	uint32_t number;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned ihl = 5; ihl <= 15; ihl += 5) {
			size_t len = write_answer(packet, ihl, rows[i].flags, 0xffffffff);

			assert_int_equal(segment_answer(packet, len, &ends, &number), rows[i].kind);
			if (rows[i].kind == SEGMENT_OTHER)
				continue;
			assert_int_equal(number, 0xffffffff);
			assert_int_equal(ends.from, ends_of().from);
			assert_int_equal(ends.to, ends_of().to);
			assert_int_equal(ends.from_port, 40000);
			assert_int_equal(ends.to_port, 8080);
		}
	}
}

static void what_is_cut_or_wrong_is_none(void **state)
{
	struct segment_ends ends;
	uint8_t packet[128];
	uint32_t number;
	size_t len = write_answer(packet, 5, TH_SYN | TH_ACK, 7);

	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(segment_answer(packet, cut, &ends, &number), SEGMENT_OTHER);
	len = write_answer(packet, 15, TH_SYN | TH_ACK, 7);
	assert_int_equal(segment_answer(packet, len - 1, &ends, &number), SEGMENT_OTHER);

	len = write_answer(packet, 5, TH_SYN | TH_ACK, 7);
	packet[0] = 0x44; /* an IP header of 16 bytes */
	assert_int_equal(segment_answer(packet, len, &ends, &number), SEGMENT_OTHER);
	packet[0] = 0x65;
	assert_int_equal(segment_answer(packet, len, &ends, &number), SEGMENT_OTHER);
	packet[0] = 0x45;
	packet[9] = IPPROTO_UDP;
	assert_int_equal(segment_answer(packet, len, &ends, &number), SEGMENT_OTHER);
	packet[9] = IPPROTO_TCP;
	packet[IP + 12] = 0x40; /* a TCP header of 16 bytes */
	assert_int_equal(segment_answer(packet, len, &ends, &number), SEGMENT_OTHER);
	packet[IP + 12] = 0x50;
	assert_int_equal(segment_answer(packet, len, &ends, &number), SEGMENT_OPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_is_whole),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(what_is_cut_or_wrong_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
