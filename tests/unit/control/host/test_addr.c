/*
 * Addresses as text and numbers, the choice of free ones, MACs and interface names made from names.
 */
#include <arpa/inet.h>
#include <string.h>

#include "control/host/addr.h"
#include "control/host/gateway.h"
#include "tests/unit/unit.h"

static struct addr_prefix prefix_of(const char *text)
{
	struct addr_prefix prefix;

	assert_true(addr_prefix(text, &prefix));
	return prefix;
}

static void text_and_back(void **state)
{
	char ip[ADDR_IP4_TEXT], prefix[ADDR_PREFIX_TEXT], mac[ADDR_MAC_TEXT];
	uint8_t bytes[6];
	uint32_t number;

	assert_true(addr_ip4("255.255.255.254", &number));
	assert_string_equal(addr_ip4_text(number, ip), "255.255.255.254");
	assert_string_equal(addr_prefix_text(prefix_of("255.255.255.255/32"), prefix), "255.255.255.255/32");
	assert_string_equal(addr_prefix_text(prefix_of("192.0.2.1/0"), prefix), "192.0.2.1/0");
	assert_true(addr_mac("02:00:00:AB:cd:11", bytes));
	assert_string_equal(addr_mac_text(bytes, mac), "02:00:00:ab:cd:11");
}

static void refuses_other_text(void **state)
{
	static const char *const prefixes[] = {"", "10.1.0.0", "10.1.0.0/", "10.1.0.0/33", "10.1.0.0/-1",
		"10.1.0.0/ 8", "10.1.0.0/8x", "10.1.0/24", "/24", "100.100.100.1000/24", "a.b.c.d/24"};
	struct addr_prefix prefix = {7, 7};
	uint8_t mac[6];
	uint32_t ip = 7;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		assert_false(addr_prefix(prefixes[i], &prefix));
	assert_int_equal(prefix.address, 7);
	assert_false(addr_prefix(NULL, &prefix));
	assert_false(addr_ip4(NULL, &ip));
	assert_false(addr_ip4("10.1.0", &ip));
	assert_false(addr_ip4("10.1.0.256", &ip));
	assert_int_equal(ip, 7);
	assert_false(addr_mac(NULL, mac));
	assert_false(addr_mac("02:00:00:00:00", mac));
	assert_false(addr_mac("02:00:00:00:00:zz", mac));
}

static void prefixes_of_both_families(void **state)
{
	static const struct {
		const char *text, *written; /* NULL: no prefix */
		bool host_bits;
	} cases[] = {{"10.1.0.0/24", "10.1.0.0/24", false}, {"10.1.0.1/24", "10.1.0.1/24", true},
		{"0.0.0.0/0", "0.0.0.0/0", false}, {"10.1.0.1/32", "10.1.0.1/32", false},
		{"::/0", "::/0", false}, {"FD00::/64", "fd00::/64", false},
		{"fd00::1/64", "fd00::1/64", true}, {"fd00::1/128", "fd00::1/128", false},
		{"fd00::2/127", "fd00::2/127", false}, {"fd00::3/127", "fd00::3/127", true},
		{"::ffff:10.1.0.0/16", "10.1.0.0/16", false}, {"::ffff:10.1.0.0/112", NULL, false},
		{"10.1.0.0/33", NULL, false}, {"fd00::/129", NULL, false}, {"fd00::", NULL, false},
		{"fd00::/", NULL, false}, {"fd00::/-1", NULL, false}, {"fd00::/ 1", NULL, false},
		{"fd00::/1x", NULL, false}, {"/64", NULL, false}, {"fe80::1%eth0/64", NULL, false},
		{"[fd00::]/64", NULL, false}, {"fd00::/18446744073709551617", NULL, false}};
	char text[ADDR_IP_PREFIX_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_prefix prefix = {{{{7}}}, 7};

		if (addr_ip_prefix(cases[i].text, &prefix) != !!cases[i].written)
			fail_msg("%s", cases[i].text);
		if (!cases[i].written) {
			assert_int_equal(prefix.len, 7);
			continue;
		}
		assert_string_equal(addr_ip_prefix_text(prefix, text), cases[i].written);
		assert_int_equal(addr_prefix_has_host_bits(&prefix), cases[i].host_bits);
	}
	assert_false(addr_ip_prefix(NULL, &(struct ip_prefix){0}));
}

static void hosts_of_a_subnet(void **state)
{
	static const struct {
		const char *subnet, *ip;
		bool inside, host;
	} cases[] = {
		{"10.1.0.0/24", "10.1.0.0", true, false},
		{"10.1.0.0/24", "10.1.0.1", true, true},
		{"10.1.0.0/24", "10.1.0.254", true, true},
		{"10.1.0.0/24", "10.1.0.255", true, false},
		{"10.1.0.0/24", "10.1.1.1", false, false},
		{"10.1.0.0/16", "10.1.0.255", true, true},
		{"10.1.0.0/31", "10.1.0.0", true, true},
		{"10.1.0.0/31", "10.1.0.1", true, true},
		{"10.1.0.0/32", "10.1.0.0", true, true},
		{"10.1.0.0/32", "10.1.0.1", false, false},
		{"10.1.0.77/24", "10.1.0.1", true, true},
		{"0.0.0.0/0", "203.0.113.9", true, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr_prefix subnet = prefix_of(cases[i].subnet);

		assert_int_equal(addr_inside(subnet, inet_addr(cases[i].ip)), cases[i].inside);
		assert_int_equal(addr_is_host(subnet, inet_addr(cases[i].ip)), cases[i].host);
	}
}

static void next_free_address(void **state)
{
	static const struct {
		const char *subnet, *taken[4], *next;
	} cases[] = {
		{"10.1.0.0/24", {NULL}, "10.1.0.1"},
		{"10.1.0.0/24", {"10.1.0.1"}, "10.1.0.2"},
		{"10.1.0.0/24", {"10.1.0.3", "10.1.0.1", "10.1.0.2"}, "10.1.0.4"},
		{"10.1.0.0/24", {"10.1.0.9", "10.1.0.1", "10.1.0.1", "0.0.0.0"}, "10.1.0.2"},
		{"10.1.0.0/24", {"10.1.0.2"}, "10.1.0.1"},
		{"10.1.0.0/30", {"10.1.0.2", "10.1.0.1"}, NULL},
		{"10.1.0.0/31", {NULL}, "10.1.0.0"},
		{"10.1.0.0/31", {"10.1.0.0"}, "10.1.0.1"},
		{"10.1.0.0/31", {"10.1.0.0", "10.1.0.1"}, NULL},
		{"10.1.0.7/32", {NULL}, "10.1.0.7"},
		{"10.1.0.7/32", {"10.1.0.7"}, NULL},
		{"255.255.255.252/30", {"255.255.255.253", "255.255.255.254"}, NULL},
		{"255.255.255.255/32", {"255.255.255.255"}, NULL},
		{"fd00::/64", {NULL}, "fd00::1"},
		{"fd00::/64", {"fd00::2", "10.1.0.1", "fd00::1", "fd00:1::3"}, "fd00::3"},
		{"fd00::/64", {"fd00::"}, "fd00::1"},
		{"fd00::/126", {"fd00::1", "fd00::2"}, "fd00::3"},
		{"fd00::/126", {"fd00::3", "fd00::2", "fd00::1"}, NULL},
		{"fd00::/127", {NULL}, "fd00::"},
		{"fd00::/127", {"fd00::", "fd00::1"}, NULL},
		{"fd00::7/128", {NULL}, "fd00::7"},
		{"fd00::7/128", {"fd00::7"}, NULL},
		{"fd00::fffe/112", {"fd00::1"}, "fd00::2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr taken[4], next = {0};
		struct ip_prefix subnet;
		size_t n = 0;

		assert_true(addr_ip_prefix(cases[i].subnet, &subnet));
		for (; n < 4 && cases[i].taken[n]; n++)
			assert_true(ip_parse(cases[i].taken[n], &taken[n]));
		ip_parse(cases[i].next, &next);
		assert_true(ip_equal(addr_next_free(subnet, taken, n), next));
	}
}

/* Past the end of an octet, and to the end of the subnet. */
static void next_free_address_of_many(void **state)
{
	static struct ip_addr taken[65534];
	struct ip_prefix subnet;

	assert_true(addr_ip_prefix("10.1.0.0/16", &subnet));
	for (uint32_t i = 0; i < 65534; i++) {
		/* from the last to the first, so that they need sorting */
		taken[65533 - i] = ip_from4(htonl(0x0a010001 + i));
	}
	assert_true(ip_is_none(addr_next_free(subnet, taken, 65534)));
	assert_int_equal(ip_to4(addr_next_free(subnet, taken, 65533)), inet_addr("10.1.255.254"));
	assert_int_equal(ip_to4(addr_next_free(subnet, taken, 254)), inet_addr("10.1.0.255"));
}

static void mac_of_a_name(void **state)
{
	uint8_t c1[6], again[6], second[6], c2[6];
	char text[ADDR_MAC_TEXT];

	addr_mac_of_name("c1", 0, c1);
	addr_mac_of_name("c1", 0, again);
	addr_mac_of_name("c1", 1, second);
	addr_mac_of_name("c2", 0, c2);
	assert_memory_equal(c1, again, 6);
	assert_memory_not_equal(c1, second, 6);
	assert_memory_not_equal(c1, c2, 6);
	/* 02 and the low 40 bits of XXH64("c1"), 0b4e4c3cfdf0dbf9: users may rely on it */
	assert_string_equal(addr_mac_text(c1, text), "02:3c:fd:f0:db:f9");
}

static void interface_of_a_network(void **state)
{
	char first[16], second[16];

	gateway_ifname("web", 0, first);
	assert_string_equal(first, "sl-web");
	gateway_ifname("twelve-bytes", 0, first);
	assert_string_equal(first, "sl-twelve-bytes");
	gateway_ifname("thirteen-byte", 0, first);
	assert_int_equal(strlen(first), 15);
	assert_memory_equal(first, "sl-thirtee-", 11);
	gateway_ifname("thirteen-bytes", 0, second);
	assert_string_not_equal(first, second);
	gateway_ifname("web", 1, first);
	gateway_ifname("web", 2, second);
	assert_memory_equal(first, "sl-web-", 7);
	assert_string_not_equal(first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_back),
		cmocka_unit_test(refuses_other_text),
		cmocka_unit_test(prefixes_of_both_families),
		cmocka_unit_test(hosts_of_a_subnet),
		cmocka_unit_test(next_free_address),
		cmocka_unit_test(next_free_address_of_many),
		cmocka_unit_test(mac_of_a_name),
		cmocka_unit_test(interface_of_a_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
