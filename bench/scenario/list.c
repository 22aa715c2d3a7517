#include <string.h>

#include "bench/report/scenario.h"
#include "bench/scenario/attack.h"
#include "bench/traffic/traffic.h"

const struct scenario scenarios[] = {
	{"l2", "two ports, MAC look-up, one pair of hosts or many in random order", "pairs", {64}, {1},
		SCENARIO_TWO_PORTS, false, l2_take},
	{"l2-ipv6", "frames of IPv4 and, of the same size, of IPv6, one after the other", "pairs",
		{TRAFFIC_MIN6}, {1, 1000}, SCENARIO_TWO_PORTS, false, l2_ipv6_take, .least = TRAFFIC_MIN6},
	{"l2-packed", "l2 with packed rings", "pairs", {64}, {1}, SCENARIO_TWO_PORTS, false, l2_take,
		.packed = true},
	{"mixed", "the same with a mixture of sizes: 7 of 64 bytes, 4 of 570, 1 of 1518", "pairs",
		{TRAFFIC_IMIX}, {1000}, SCENARIO_TWO_PORTS, false, l2_take},
	{"ports", "the same with more ports attached, of which two carry traffic", "ports", {64},
		{2, 8, 32, 128, 256}, SCENARIO_COUNT_PORTS, false, l2_take},
	{"crowd", "each port sends to the next, first as it is, then while further ports come and go",
		"ports", {64}, {32, 500}, SCENARIO_COUNT_PORTS, false, crowd_take},
	{"learn", "each frame from a new MAC address; Mpps are addresses learned", "hosts", {64}, {1000000},
		SCENARIO_TWO_PORTS, false, learn_take},
	{"flood", "frames to everybody from one port; Mpps are copies delivered", "ports", {64}, {2, 8, 32},
		SCENARIO_COUNT_PORTS, false, flood_take},
	{"latency", "how long a frame takes through the switch, one way, at several loads", "pairs", {64},
		{1}, SCENARIO_TWO_PORTS, false, latency_take},
	{"wake", "the same with a switch that sleeps between two frames", "pairs", {64}, {1},
		SCENARIO_TWO_PORTS, false, latency_take},
	{"idle", "attached ports and no traffic: what the switch takes of a core", "ports", {64},
		{2, 32, 256}, SCENARIO_COUNT_PORTS, false, idle_take},
	{"reconfig",
		"traffic beside changes of the configuration: what is lost, how long the worker stays away",
		"changes", {64}, {1000}, SCENARIO_TWO_PORTS, false, reconfig_take, 4096, true},
	{"neighbours", "an honest pair beside each attack of a hostile guest on its worker", "pairs", {64},
		{1}, ATTACK_PORTS, false, neighbours_take, 1024, true},
	{"vxlan", "a port of an overlay network and its underlay: encap, decap and both at once", "pairs",
		{64}, {1, 1000, 10000}, SCENARIO_TWO_PORTS, false, vxlan_take},
	{"vxlan-ipv6", "the same of IPv4 in IPv4, and of IPv6 in IPv6 with UDP checksums and without",
		"pairs", {TRAFFIC_MIN6}, {1, 1000}, 6, false, vxlan_ipv6_take, .least = TRAFFIC_MIN6},
	{"lb", "a vip with 16 backends: new connections, then requests and answers of all of them",
		"connections", {64}, {1000, 10000, 100000}, SCENARIO_TWO_PORTS, false, lb_take},
	{"lb-ipv6", "the same at a vip of IPv4 and then at one of IPv6", "connections", {TRAFFIC_MIN6},
		{1000, 100000}, SCENARIO_TWO_PORTS, false, lb_ipv6_take, .least = TRAFFIC_MIN6},
	{"lb-least", "lb where the service's policy is \"least\"", "connections", {64}, {1000, 100000},
		SCENARIO_TWO_PORTS, false, lb_take},
	{"lb-full", "the same with a connection table that is full", "connections", {64}, {10000},
		SCENARIO_TWO_PORTS, false, lb_full_take},
	{"balance",
		"a vip whose backends take time, some slow and some stalled, by each policy: how long "
		"answers take",
		"percent of what they can do", {64}, {50, 70, 80}, SCENARIO_TWO_PORTS, false, balance_take,
		4096, true},
	{"balance-tcp",
		"the same over TCP, with clients on several hosts, beside proxies and kernels that balance: "
		"also what that takes of the processor",
		"percent of what they can do", {64}, {50, 70, 80}, SCENARIO_NO_PORTS, true, balance_tcp_take},
	{"failover", "a backend ends, many times: until the last packet to it, and the next new connection",
		"failures", {64}, {1000}, 3, false, failover_take, 0, true, true},
	{"bulk", "TCP between containers and to another host, with offloads and without", "connections",
		{1518}, {1}, SCENARIO_NO_PORTS, false, bulk_take},
	{"registry",
		"service discovery: registrations, the first answer and packet to each, DNS, 5,000 who wait",
		"instances", {64}, {100, 10000, 100000}, SCENARIO_TWO_PORTS, true, registry_take, 0, true},
	{"answers", "a list of so many instances over HTTP: answers a second, and how long at half of that",
		"instances", {64}, {50, 1000}, SCENARIO_NO_PORTS, true, answers_take, 0, true},
	{"dns",
		"names of services asked by dnsperf, of Sluice and of name servers; at twice what is "
		"answered, too",
		"services", {64}, {1000}, SCENARIO_NO_PORTS, true, dns_take},
	{"monitor",
		"TCP checks of instances in containers, each once a second; beside DNS and blocking queries",
		"instances", {64}, {1000, 10000}, SCENARIO_NO_PORTS, true, monitor_take, 0, true},
	{"memory", "what the switch occupies, without huge pages, once traffic has flowed", "ports", {64},
		{2}, SCENARIO_COUNT_PORTS, true, memory_take},
	{0},
};

const struct scenario *scenario_find(const char *name)
{
	for (const struct scenario *s = scenarios; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}
