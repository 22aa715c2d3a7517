/* Addresses of both families: one value each, however they are written. */
#include "addr/ip_text.h"
#include "tests/unit/unit.h"

static struct ip_addr ip(const char *text)
{
	struct ip_addr address;

	if (!ip_parse(text, &address))
		fail_msg("%s is no address", text);
	return address;
}

static void is_written(const char *given, const char *written)
{
	char text[IP_TEXT];

	assert_string_equal(ip_text(ip(given), text), written);
}

static void text_and_back(void **state)
{
	is_written("10.1.0.1", "10.1.0.1");
	is_written("::ffff:10.1.0.1", "10.1.0.1");
	is_written("::FFFF:0a01:0001", "10.1.0.1");
	is_written("0.0.0.0", "0.0.0.0");
	is_written("::", "::");
	is_written("::1", "::1");
	is_written("FD00:0:0::00Ab", "fd00::ab");
	is_written("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1");
	is_written("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void what_is_no_address(void **state)
{
	static const char *const texts[] = {"", "web", "10.1.0", "10.1.0.256", "10.1.0.1/32", "010.1.0.1",
		"10.1.0.1 ", "fe80::1%eth0", "fe80::1%1", "[::1]", "::1/128", ":::", "1::2::3",
		"::ffff:10.1.0.256", "1:2:3:4:5:6:7:8:9", "12345::", "g::1", " ::1",
		"0000:0000:0000:0000:0000:ffff:0000:0000:0000:0000:0000:0000:10.1.0.1"};
	struct ip_addr before = ip("192.0.2.7"), address = before;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (ip_parse(texts[i], &address) || !ip_equal(address, before))
			fail_msg("\"%s\" passes for an address", texts[i]);
	assert_false(ip_parse(NULL, &address));
}

static void hosts_of_urls(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} hosts[] = {{"10.1.0.1", true}, {"[::1]", true}, {"[::ffff:10.1.0.1]", true}, {"::1", false},
		{"[10.1.0.1]", false}, {"[::1", false}, {"::1]", false}, {"[]", false}, {"[", false},
		{"", false}, {"[fe80::1%25eth0]", false}, {"[[::1]]", false}};
	struct ip_addr address = {0};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (ip_parse_host(hosts[i].text, strlen(hosts[i].text), &address) != hosts[i].good)
			fail_msg("\"%s\" is taken for %s host", hosts[i].text, hosts[i].good ? "no" : "a");
	assert_true(ip_parse_host("[fd00::1]:80", 9, &address));
	assert_true(ip_equal(address, ip("fd00::1")));
}

static void with_a_port(void **state)
{
	char text[IP_PORT_TEXT];

	assert_string_equal(ip_port_text(ip("10.1.0.1"), 80, text), "10.1.0.1:80");
	assert_string_equal(ip_port_text(ip("fd00::1"), 65535, text), "[fd00::1]:65535");
	assert_string_equal(ip_port_text(ip("1111:2222:3333:4444:5555:6666:7777:8888"), 65535, text),
		"[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

static void ipv4_is_mapped(void **state)
{
	uint32_t ip4 = inet_addr("10.1.0.1");

	assert_true(ip_is4(ip_from4(ip4)));
	assert_int_equal(ip_to4(ip_from4(ip4)), ip4);
	assert_true(ip_equal(ip_from4(ip4), ip("::ffff:10.1.0.1")));
	assert_false(ip_is4(ip("::10.1.0.1"))); /* without the ffff it is another address */
	assert_int_equal(ip_to4(ip("fd00::1")), 0);
	assert_true(ip_is_none(ip("::")));
	assert_false(ip_is_none(ip("0.0.0.0")));
}

static void in_order(void **state)
{
	static const char *const order[] = {"::", "::1", "0.0.0.0", "9.255.255.255", "10.0.0.0", "10.0.0.1",
		"192.0.2.1", "255.255.255.255", "2001:db8::1", "fd00::1", "fd00::2"};

	for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_true(ip_compare(ip(order[i - 1]), ip(order[i])) < 0);
		assert_true(ip_compare(ip(order[i]), ip(order[i - 1])) > 0);
		assert_int_equal(ip_compare(ip(order[i]), ip(order[i])), 0);
	}
}

enum { UNSPECIFIED = 1, MULTICAST = 2, UNICAST = 4, LOOPBACK = 8, LINK_LOCAL = 16 };

static void kinds(void **state)
{
	static const struct {
		const char *text;
		unsigned is;
	} all[] = {
		{"::", UNSPECIFIED},
		{"0.0.0.0", UNSPECIFIED},
		{"::ffff:0.0.0.0", UNSPECIFIED},
		{"::1", UNICAST | LOOPBACK},
		{"::2", UNICAST},
		{"1::1", UNICAST},
		{"127.0.0.1", UNICAST | LOOPBACK},
		{"127.255.255.255", UNICAST | LOOPBACK},
		{"::ffff:127.0.0.1", UNICAST | LOOPBACK},
		{"126.255.255.255", UNICAST},
		{"128.0.0.0", UNICAST},
		{"169.254.169.254", UNICAST | LINK_LOCAL},
		{"169.253.255.255", UNICAST},
		{"fe80::1", UNICAST | LINK_LOCAL},
		{"febf:ffff::1", UNICAST | LINK_LOCAL},
		{"fec0::1", UNICAST},
		{"fe7f::1", UNICAST},
		{"ff02::1", MULTICAST},
		{"feff::1", UNICAST},
		{"224.0.0.1", MULTICAST},
		{"239.255.255.255", MULTICAST},
		{"223.255.255.255", UNICAST},
		{"240.0.0.0", 0},
		{"255.255.255.255", 0},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct ip_addr a = ip(all[i].text);
		unsigned is = ip_is_unspecified(a) * UNSPECIFIED | ip_is_multicast(a) * MULTICAST |
			      ip_is_unicast(a) * UNICAST | ip_is_loopback(a) * LOOPBACK |
			      ip_is_link_local(a) * LINK_LOCAL;

		if (is != all[i].is)
			fail_msg("%s is %#x, not %#x", all[i].text, is, all[i].is);
	}
}

static bool inside(const char *address, const char *prefix, unsigned len)
{
	return ip_inside(ip(address), (struct ip_prefix){ip(prefix), (uint8_t)len});
}

static void prefixes(void **state)
{
	assert_true(inside("10.1.255.255", "10.1.0.0", IP_PREFIX4 + 16));
	assert_false(inside("10.2.0.0", "10.1.0.0", IP_PREFIX4 + 16));
	assert_true(inside("10.1.0.7", "10.1.0.1", IP_PREFIX4 + 29));
	assert_false(inside("10.1.0.8", "10.1.0.1", IP_PREFIX4 + 29));
	assert_true(inside("10.1.0.1", "10.1.0.1", 128));
	assert_false(inside("10.1.0.0", "10.1.0.1", 128));
	assert_true(inside("255.255.255.255", "0.0.0.0", IP_PREFIX4));
	assert_false(inside("::1", "0.0.0.0", IP_PREFIX4));
	assert_true(inside("fd00:ffff::1", "fd00::", 9));
	assert_false(inside("fd80::1", "fd00::", 9));
	assert_true(inside("::2", "::", 0));
	assert_false(inside("10.1.0.1", "::", 0)); /* not of this family */
	assert_false(inside("::fffe:0:0", "0.0.0.0", IP_PREFIX4));
	assert_true(inside("::1", "::1", 128));
	assert_false(inside("::", "::1", 128));
}

static void sockets(void **state)
{
	struct sockaddr_storage to;
	const struct sockaddr_in *to4 = (const struct sockaddr_in *)&to;
	const struct sockaddr_in6 *to6 = (const struct sockaddr_in6 *)&to;

	assert_int_equal(ip_sockaddr(ip("::ffff:10.1.0.1"), 80, &to), sizeof(*to4));
	assert_int_equal(to4->sin_family, AF_INET);
	assert_int_equal(to4->sin_addr.s_addr, inet_addr("10.1.0.1"));
	assert_int_equal(ntohs(to4->sin_port), 80);
	assert_int_equal(ip_sockaddr(ip("fd00::1"), 80, &to), sizeof(*to6));
	assert_int_equal(to6->sin6_family, AF_INET6);
	assert_true(ip_equal(ip_from6(to6->sin6_addr.s6_addr), ip("fd00::1")));
	assert_int_equal(ntohs(to6->sin6_port), 80);
	assert_int_equal(to6->sin6_scope_id, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(what_is_no_address),
		cmocka_unit_test(hosts_of_urls),
		cmocka_unit_test(with_a_port),
		cmocka_unit_test(ipv4_is_mapped),
		cmocka_unit_test(in_order),
		cmocka_unit_test(kinds),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
