/* What a port may send by its security: each kind of honest packet, each kind of lie, in each disguise. */
#include <string.h>

#include "dataplane/engine/pipeline.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/l2/policy/guard_packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, b;
static uint16_t net;
static const struct offload PLAIN;

static const struct {
	enum drop_reason reason;
	const char *name;
} reasons[] = {{DROP_SPOOFED_MAC, "spoofed-mac"}, {DROP_SPOOFED_IP, "spoofed-ip"},
	{DROP_SPOOFED_ARP, "spoofed-arp"}, {DROP_ROGUE_SERVER, "rogue-server"}};
enum { REASONS = 4 };

static struct dp_backend backend = {.port = 80, .weight = 1};
static uint32_t service;

static struct dp_port guarded(enum dp_security security)
{
	struct dp_port spec = {.mac = {2, 0, 0, 0, 0, 0xa},
		.ips = {ip_from4(ip4(GUARD_OWN)), ip_from4(ip4("10.0.0.15")),
			{.b = {0xfd, 0, 0, 5, [15] = 1}}},
		.nips = 3,
		.mtu = 1500,
		.security = security,
		.nallow = 5,
		.allow = {{.has_prefix = true, .len = 128, .address = ip_from4(ip4("10.0.0.50"))},
			{.has_prefix = false},
			{.has_prefix = true, .len = IP_PREFIX4 + 22, .address = ip_from4(ip4("10.9.0.0"))},
			{.has_prefix = true, .len = 64, .address = {.b = {0xfd, 0, 0, 1}}},
			{.has_prefix = true, .len = 128, .address = {.b = {0xfd, 0, 0, 3, [15] = 1}}}}};

	memcpy(spec.allow[0].mac, GUARD_MAC_VIRTUAL, 6);
	memcpy(spec.allow[1].mac, GUARD_MAC_NESTED, 6);
	for (unsigned i = 2; i < 5; i++)
		memcpy(spec.allow[i].mac, MAC_A, 6);
	return spec;
}

static int setup(void **state)
{
	dp = harness_open();
	return 0;
}

static int teardown(void **state)
{
	harness_close(dp);
	return 0;
}

/* a, of the security that a test sets, and b, which takes everything. */
static int make(void **state)
{
	struct dp_network spec = {.mode = DP_BRIDGE,
		.subnet = ip4("10.0.0.0"),
		.prefix = 24,
		.gateway = ip4(GUARD_GATEWAY),
		.age_s = 300};
	struct dp_port off = {.mac = {2, 0, 0, 0, 0, 0xb}, .ips = {ip_from4(ip4(GUARD_OTHER))}, .nips = 1};
	struct dp_port first = guarded(DP_SECURITY_OFF);

	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, &first);
	harness_port(dp, &b, net, &off);
	service = DP_SERVICE_NONE;
	backend.address = ip_from4(ip4("10.0.0.6"));
	assert_int_equal(
		dp_service_put(dp,
			&(struct dp_service){net, ip_from4(ip4("10.0.0.100")), 80, DP_TCP, &backend, 1},
			&service, NULL),
		0);
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	dp_service_del(dp, service);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

static void secure(enum dp_security security, bool trusted)
{
	struct dp_port spec = guarded(security);

	spec.trusted = trusted;
	assert_int_equal(dp_port_set(dp, a.port->id, &spec, NULL), 0);
}

/* Why a frame of a's was dropped, NULL: it came to b. */
static const char *outcome(const uint8_t *frame, size_t len, size_t span)
{
	static const char *const none = "neither delivered nor refused";
	const struct port_stats *counters = &dp->worker[0]->port_stats[a.port->id];
	uint64_t before[REASONS];
	const char *why = none;

	b.count = 0;
	for (unsigned i = 0; i < REASONS; i++)
		before[i] = stat_read(&counters->drop[reasons[i].reason]);
	harness_send(dp, &a, frame, len, PLAIN, span);
	for (unsigned i = 0; i < REASONS; i++)
		if (stat_read(&counters->drop[reasons[i].reason]) == before[i] + 1)
			why = reasons[i].name;
	return b.count ? NULL : why;
}

static bool same(const char *x, const char *y)
{
	return x == y || (x && y && strcmp(x, y) == 0);
}

static const char *expected(const struct guard_row *row, enum dp_security security)
{
	return security == DP_SECURITY_OFF ? row->off : security == DP_SECURITY_MAC ? row->mac : row->full;
}

static unsigned wrong;

static void hold(const char *in, const struct guard_row *row, enum dp_security security, const char *want,
	const uint8_t *frame, size_t len)
{
	static const char *const names[] = {"off", "mac", "full"};
	const char *got = outcome(frame, len, 5);

	if (same(got, want))
		return;
	wrong++;
	print_error("%s, %s, %s: %s, expected %s\n", row->what, names[security], in, got ? got : "passes",
		want ? want : "passes");
}

static void test_each_packet_at_each_level_of_security(void **state)
{
	const struct guard_row *row;
	uint8_t buf[2048];

	wrong = 0;
	for (enum dp_security security = DP_SECURITY_OFF; security <= DP_SECURITY_FULL; security++) {
		secure(security, false);
		for (unsigned r = 0; (row = guard_packets_row(r)); r++)
			hold("bare", row, security, expected(row, security), buf, row->make(buf));
	}
	assert_int_equal(wrong, 0);
}

/* `n` tags of VLAN 0, which receivers take off, or LLC/SNAP. */
static size_t disguise(uint8_t *buf, size_t len, unsigned tags, bool snap)
{
	static const uint8_t llc[6] = {0xaa, 0xaa, 3};
	size_t more = 4 * tags + (snap ? 8 : 0);
	uint8_t *at = buf + 12;

	memmove(buf + 12 + more, buf + 12, len - 12);
	for (unsigned i = 0; i < tags; i++, at += 4)
		memcpy(at, i & 1 ? (uint8_t[]){0x88, 0xa8, 0, 0} : (uint8_t[]){0x81, 0, 0, 0}, 4);
	if (snap) {
		at[0] = (uint8_t)((len - 6) >> 8);
		at[1] = (uint8_t)(len - 6);
		memcpy(at + 2, llc, 6);
	}
	return len + more;
}

/* Tags and LLC change nothing: not what is a lie, and not what is none. */
static void test_tags_and_llc_change_no_verdict(void **state)
{
	const struct guard_row *row;
	uint8_t buf[2048];

	wrong = 0;
	for (enum dp_security security = DP_SECURITY_OFF; security <= DP_SECURITY_FULL; security++) {
		secure(security, false);
		for (unsigned r = 0; (row = guard_packets_row(r)); r++) {
			const char *want = expected(row, security);

			for (unsigned tags = 1; tags <= 2; tags++)
				hold("tagged", row, security, want, buf,
					disguise(buf, row->make(buf), tags, false));
			if (row->make != guard_packets_late_option) /* tells by its length what it is */
				hold("snap", row, security, want, buf,
					disguise(buf, row->make(buf), 1, true));
		}
	}
	assert_int_equal(wrong, 0);
}

/* Under many tags only the port's own that fits into what is looked at passes, and no lie. */
static void test_more_tags_than_are_looked_at(void **state)
{
	const struct guard_row *row;
	uint8_t buf[2048];

	wrong = 0;
	secure(DP_SECURITY_FULL, false);
	for (unsigned r = 0; (row = guard_packets_row(r)); r++)
		for (unsigned tags = 3; tags <= 12; tags++) {
			size_t len = disguise(buf, row->make(buf), tags, false);

			if (tags > 8)
				hold("many tags", row, DP_SECURITY_FULL,
					same(row->full, "spoofed-mac") ? "spoofed-mac" : "rogue-server", buf,
					len);
			else if (row->full && !outcome(buf, len, 5)) {
				wrong++;
				print_error("%s passes under %u tags\n", row->what, tags);
			}
		}
	assert_int_equal(wrong, 0);
}

/* Cut off anywhere, a lie is either refused or so short that nothing of it is left. */
static void test_spoofed_frames_cut_off_anywhere_are_refused(void **state)
{
	const struct guard_row *row;
	uint8_t buf[2048];

	wrong = 0;
	secure(DP_SECURITY_FULL, false);
	for (unsigned r = 0; (row = guard_packets_row(r)); r++)
		for (size_t len = 14, whole = row->make(buf); len < whole; len++) {
			const char *got = outcome(buf, len, 3);

			if (got || !row->full || same(row->full, "rogue-server"))
				continue;
			wrong++;
			print_error("%s passes with %zu bytes\n", row->what, len);
		}
	assert_int_equal(wrong, 0);
}

/* Whatever bytes a guest sends: from full, nothing with another's MAC or IPv4 source gets through. */
static void test_random_frames_pass_only_with_own_addresses(void **state)
{
	uint32_t random = 12345, own[2] = {ip4(GUARD_OWN), ip4("10.0.0.15")};
	unsigned passed = 0, dropped = 0;
	uint8_t buf[2048];

	secure(DP_SECURITY_FULL, false);
	for (unsigned i = 0; i < 50000; i++) {
		size_t len = guard_packets_row(i % guard_packets_rows())->make(buf);
		uint32_t from;

		for (unsigned change = 0; change < 3; change++) {
			random = random * 1664525 + 1013904223;
			buf[12 + (random >> 8) % (len - 12)] = (uint8_t)(random >> 24);
		}
		if (outcome(buf, len, 3)) {
			dropped++;
			continue;
		}
		passed++;
		assert_false(memcmp(buf + 6, MAC_B, 6) == 0 || memcmp(buf + 6, MAC_C, 6) == 0);
		memcpy(&from, buf + 26, 4);
		if (buf[12] == 8 && buf[13] == 0 && from != own[0] && from != own[1])
			assert_true(from == 0 || buf[26] == 10);
		if (buf[12] == 8 && buf[13] == 0)
			assert_true(from != ip4(GUARD_OTHER));
		if (buf[12] == 8 && buf[13] == 6)
			assert_true(memcmp(buf + 28, "\x0a\0\0\x06", 4) != 0);
	}
	assert_true(passed > 1000); /* else this says nothing */
	assert_true(dropped > 1000);
}

/* A trusted port may serve; it lies no better than others. */
static void test_a_trusted_port_may_serve_but_not_spoof(void **state)
{
	const struct guard_row *row;
	uint8_t buf[2048];

	wrong = 0;
	for (enum dp_security security = DP_SECURITY_OFF; security <= DP_SECURITY_FULL; security++) {
		secure(security, true);
		for (unsigned r = 0; (row = guard_packets_row(r)); r++) {
			const char *want = expected(row, security);

			if (same(want, "rogue-server") || row->make == guard_packets_redirect)
				want = NULL;
			hold("trusted", row, security, want, buf, row->make(buf));
		}
	}
	assert_int_equal(wrong, 0);
}

/* A port with no address and security full may say only who it is. */
static void test_without_address(void **state)
{
	struct dp_port spec = {.mac = {2, 0, 0, 0, 0, 0xa}, .mtu = 1500, .security = DP_SECURITY_FULL};
	uint8_t buf[2048];

	assert_int_equal(dp_port_set(dp, a.port->id, &spec, NULL), 0);
	assert_string_equal(outcome(buf, guard_packets_own_udp(buf), 0), "spoofed-ip");
	assert_string_equal(outcome(buf, guard_packets_no_ip(buf), 0), "spoofed-ip");
	assert_string_equal(outcome(buf, guard_packets_own_arp(buf), 0), "spoofed-arp");
	assert_null(outcome(buf, guard_packets_dhcp_discover(buf), 0));
	assert_null(outcome(buf, guard_packets_link_local(buf), 0));
}

/* The first of all is the last that a burst of good frames hides. */
static void test_one_bad_frame_in_a_burst_of_good_ones(void **state)
{
	struct worker *w = dp->worker[0];
	struct burst *burst = &w->burst;

	secure(DP_SECURITY_FULL, false);
	b.count = 0;
	burst->in = a.port;
	burst->count = BURST_MAX;
	burst->nspan = 0;
	for (unsigned i = 0; i < BURST_MAX; i++) {
		struct frame *f = &burst->frame[i];
		uint8_t buf[2048];
		size_t len = i == 17   ? guard_packets_other_ip(buf)
			     : i == 31 ? guard_packets_dhcp_answer(buf)
			     : i == 5  ? guard_packets_other_mac(buf)
				       : guard_packets_own_udp(buf);

		frame_init(f);
		memcpy(frame_data(f), buf, 64);
		f->hdr_len = 64;
		f->span = &burst->span[burst->nspan];
		f->nspan = 1;
		f->len = 64 + 60;
		burst->span[burst->nspan++] = (struct span){w->scratch, 60};
		(void)len;
	}
	pipeline_run(w, burst);
	assert_int_equal(b.count, BURST_MAX - 3);
	b.count = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_packet_at_each_level_of_security, make, unmake),
		cmocka_unit_test_setup_teardown(test_tags_and_llc_change_no_verdict, make, unmake),
		cmocka_unit_test_setup_teardown(test_more_tags_than_are_looked_at, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_spoofed_frames_cut_off_anywhere_are_refused, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_random_frames_pass_only_with_own_addresses, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_trusted_port_may_serve_but_not_spoof, make, unmake),
		cmocka_unit_test_setup_teardown(test_without_address, make, unmake),
		cmocka_unit_test_setup_teardown(test_one_bad_frame_in_a_burst_of_good_ones, make, unmake),
	};

	return cmocka_run_group_tests_name("guard", tests, setup, teardown);
}
