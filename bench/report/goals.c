#include "bench/report/goals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
/* What a kind of change may add to the time for which the worker stays away. */
#define ADDED(change) \
	{"longest gap at p99.9, us added by: " change, METRIC_GAP_ADDED, {"reconfig", change, 64, 1000}, AT_MOST, 100}

/* What an attack may do to an honest pair on the same worker. */
#define BESIDE(attack) \
	{"beside " attack ": p99 over quiet", METRIC_BESIDE, {"neighbours", attack, 64, 1}, AT_MOST, 3}, \
	{"beside " attack ": percent lost beyond quiet", METRIC_LOSS_ADDED, {"neighbours", attack, 64, 1}, AT_MOST, 0}

/* Another server for the same names, on the same core. */
#define AHEAD(peer) \
	{"32 clients: DNS answers over those of " peer, METRIC_ANSWERS, {"dns", "32 clients", 64, 1000}, AT_LEAST, 1, peer}, \
	{"500 questions under way: DNS answers over those of " peer, METRIC_ANSWERS, \
		{"dns", "500 under way", 64, 1000}, AT_LEAST, 1, peer}

/* A vip with so many instances, beside which 100,000 others are registered. */
#define FIRST_PACKET(of, variant) \
	{"100,000 instances: us from a registration to its first packet, p99; instances of its service: " of, \
		METRIC_LATENCY_P99, {"registry", variant, 64, 100000}, AT_MOST, 5000}

/* Lists of so many instances over HTTP, beside a web server that has the same bytes as a file. */
#define ANSWERS(count) \
	{#count " instances, 256 clients: answers a second over nginx's with the same bytes", METRIC_ANSWERS, \
		{"answers", "256 clients", 64, count}, AT_LEAST, 0.8, "nginx"}, \
	{#count " instances, half of that load: us until an answer is there, p99", METRIC_LATENCY_P99, \
		{"answers", "half load", 64, count}, AT_MOST, 2000}

/* Backends of which some are slow and some stall, at so many percent of what they can do. */
#define BALANCED(load) \
	{"at " #load " % load: p99 of least over that of the hash with right weights", METRIC_LATENCY_P99, \
		{"balance", "least", 64, load}, AT_MOST, 1.0 / 3, "sluice", {"balance", "maglev, weights", 64, load}}

/* The same over TCP from several hosts, and beside a balancer on each of them that is not told the load. */
#define BALANCED_TCP(load) \
	{"at " #load " % load: p99 of least over that of the hash with right weights", METRIC_LATENCY_P99, \
		{"balance-tcp", "least", 64, load}, AT_MOST, 1.0 / 3, "sluice", {"balance-tcp", "maglev, weights", 64, load}}, \
	BESIDE_TCP(load, "haproxy", "leastconn"), \
	BESIDE_TCP(load, "haproxy", "random(2)"), \
	BESIDE_TCP(load, "haproxy", "roundrobin"), \
	BESIDE_TCP(load, "nginx", "random two"), \
	BESIDE_TCP(load, "nftables", "random"), \
	BESIDE_TCP(load, "ovs", "dp_hash"), \
	{"at " #load " % load: processor time of balancing over HAProxy's with leastconn", METRIC_BALANCING, \
		{"balance-tcp", "least", 64, load}, AT_MOST, 0.1, "haproxy", {"balance-tcp", "leastconn", 64, load}}

#define BESIDE_TCP(load, peer, variant) \
	{"at " #load " % load: p99 of least over that of " peer " " variant, METRIC_LATENCY_P99, \
		{"balance-tcp", "least", 64, load}, AT_MOST, 0.8, peer, {"balance-tcp", variant, 64, load}}
/* The same frames of IPv6, in the same turn. */
#define BESIDE_IPV4(of, bytes, count, counted, variant) \
	{#bytes " B, " counted ": cycles of IPv6 over IPv4's", METRIC_CYCLES, \
		{of "-ipv6", "ipv6" variant, bytes, count}, AT_MOST, 1.15, "sluice", \
		{of "-ipv6", "ipv4" variant, bytes, count}}

/* What more than plain switching costs. */
#define OVER_L2(counted, of, variant, count, pairs, limit) \
	{counted ": cycles over those of l2 with " #pairs " pairs", METRIC_CYCLES, {of, variant, 64, count}, \
		AT_MOST, limit, "sluice", {"l2", "", 64, pairs}}

/* TCP with a kernel's vxlan device on the other host. */
#define BULK(text, variant, limit) \
	{"TCP " text ": Gbit/s over the kernel's bridge with veth and vxlan", METRIC_GBPS, \
		{"bulk", variant, 1518, 1}, AT_LEAST, limit, "linux-bridge"}
/* clang-format on */

/* Those of one kind of trial stand together, as they are run. */
const struct goal goals[] = {
	{"64 B, 1 pair: cycles of testpmd io's", METRIC_CYCLES, {"l2", "", 64, 1}, AT_MOST, 0.8, "testpmd"},
	{"64 B, 1 pair: cycles of Open vSwitch's", METRIC_CYCLES, {"l2", "", 64, 1}, AT_MOST, 0.45, "ovs"},
	{"64 B, 1 pair: Mpps over testpmd io's", METRIC_MPPS, {"l2", "", 64, 1}, AT_LEAST, 1.3, "testpmd"},
	{"64 B, 1 pair: Mpps over Open vSwitch's", METRIC_MPPS, {"l2", "", 64, 1}, AT_LEAST, 2.2, "ovs"},
	{"1518 B, 1 pair: cycles of testpmd io's", METRIC_CYCLES, {"l2", "", 1518, 1}, AT_MOST, 0.5,
		"testpmd"},
	{"64 B, 10,000 pairs: Mpps over 1 pair's", METRIC_MPPS, {"l2", "", 64, 10000}, AT_LEAST, 0.8,
		"sluice", {"l2", "", 64, 1}},
	{"64 B, 10,000 pairs: Mpps over Open vSwitch's", METRIC_MPPS, {"l2", "", 64, 10000}, AT_LEAST, 6,
		"ovs"},
	{"64 B, 100,000 pairs: Mpps over 1 pair's", METRIC_MPPS, {"l2", "", 64, 100000}, AT_LEAST, 0.6,
		"sluice", {"l2", "", 64, 1}},
	{"64 B, 1,000,000 pairs: Mpps over 1 pair's", METRIC_MPPS, {"l2", "", 64, 1000000}, AT_LEAST, 0.4,
		"sluice", {"l2", "", 64, 1}},
	{"64 B, 1 pair: cycles with packed rings over split ones'", METRIC_CYCLES, {"l2-packed", "", 64, 1},
		AT_MOST, 1.05, "sluice", {"l2", "", 64, 1}},
	{"1518 B, 1 pair: cycles with packed rings over split ones'", METRIC_CYCLES,
		{"l2-packed", "", 1518, 1}, AT_MOST, 1.05, "sluice", {"l2", "", 1518, 1}},
	{"64 B, 1 pair: cycles of testpmd io's, both with packed rings", METRIC_CYCLES,
		{"l2-packed", "", 64, 1}, AT_MOST, 1, "testpmd"},
	{"1518 B, 1 pair: cycles of testpmd io's, both with packed rings", METRIC_CYCLES,
		{"l2-packed", "", 1518, 1}, AT_MOST, 1, "testpmd"},
	BESIDE_IPV4("l2", 90, 1, "1 pair", ""),
	BESIDE_IPV4("l2", 90, 1000, "1,000 pairs", ""),
	BESIDE_IPV4("l2", 1518, 1, "1 pair", ""),
	{"256 ports, of which 254 idle: cycles over 2 ports'", METRIC_CYCLES, {"ports", "", 64, 256}, AT_MOST,
		1.1, "sluice", {"ports", "", 64, 2}},
	{"64 B, at 50 % of capacity: p99 over p50", METRIC_LATENCY_TAIL, {"latency", "50%", 64, 1}, AT_MOST,
		3},
	{"64 B, the first frame after sleep: p99 in us", METRIC_LATENCY_P99, {"wake", "idle", 64, 1}, AT_MOST,
		60},
	{"64 B, 1 pair: Mpps of a switch that may sleep over one that always polls", METRIC_MPPS,
		{"l2", "", 64, 1}, AT_LEAST, 0.98, "sluice", .peer = "sluice-adaptive"},
	{"32 ports attached, no traffic: percent of a core", METRIC_CPU, {"idle", "", 64, 32}, AT_MOST, 2},
	{"500 ports with traffic: ms to add or delete one more", METRIC_CHANGE, {"crowd", "ports", 64, 500},
		AT_MOST, 5},
	{"500 ports with traffic, while others come and go: percent lost", METRIC_LOSS,
		{"crowd", "ports", 64, 500}, AT_MOST, 0},
	ADDED("ports"),
	ADDED("networks"),
	ADDED("backends"),
	ADDED("fdb"),
	ADDED("scrape"),
	ADDED("list"),
	BESIDE("one-byte buffers"),
	BESIDE("holes"),
	BESIDE("slow tap"),
	BESIDE("storm"),
	BESIDE("new MACs"),
	BESIDE("connections"),
	BESIDE("flaps"),
	BESIDE("publication"),
	BESIDE("punts"),
	BESIDE("unknown VNIs"),
	{"encap and decap, 1 pair: Mpps over Open vSwitch's", METRIC_MPPS, {"vxlan", "both", 64, 1}, AT_LEAST,
		4, "ovs"},
	{"encap and decap, 1,000 pairs: Mpps over Open vSwitch's", METRIC_MPPS, {"vxlan", "both", 64, 1000},
		AT_LEAST, 4, "ovs"},
	OVER_L2("encap and decap, 1 pair", "vxlan", "both", 1, 1, 1.35),
	OVER_L2("encap and decap, 1,000 pairs", "vxlan", "both", 1000, 1000, 1.35),
	OVER_L2("encap and decap, 100,000 pairs", "vxlan", "both", 100000, 100000, 1.35),
	BESIDE_IPV4("vxlan", 90, 1, "1 pair", " both"),
	BESIDE_IPV4("vxlan", 90, 1000, "1,000 pairs", " both"),
	BESIDE_IPV4("vxlan", 1518, 1, "1 pair", " both"),
	{"90 B, 1,000 pairs: cycles of IPv6 without UDP checksums over IPv4's", METRIC_CYCLES,
		{"vxlan-ipv6", "ipv6 both, no sum", 90, 1000}, AT_MOST, 1.15, "sluice",
		{"vxlan-ipv6", "ipv4 both", 90, 1000}},
	OVER_L2("1,000 connections", "lb", "established", 1000, 1000, 1.6),
	OVER_L2("1,000,000 connections", "lb", "established", 1000000, 1000, 2),
	BESIDE_IPV4("lb", 90, 1000, "1,000 connections", " established"),
	BESIDE_IPV4("lb", 90, 100000, "100,000 connections", " established"),
	{"1,000 connections: cycles with the policy least over the hash's", METRIC_CYCLES,
		{"lb-least", "established", 64, 1000}, AT_MOST, 1.05, "sluice",
		{"lb", "established", 64, 1000}},
	{"100,000 new connections: a second with the policy least over the hash's", METRIC_MPPS,
		{"lb-least", "new", 64, 100000}, AT_LEAST, 0.8, "sluice", {"lb", "new", 64, 100000}},
	{"1,000 connections: Mpps over Open vSwitch's", METRIC_MPPS, {"lb", "established", 64, 1000},
		AT_LEAST, 4, "ovs"},
	{"100,000 connections: Mpps over Open vSwitch's", METRIC_MPPS, {"lb", "established", 64, 100000},
		AT_LEAST, 6, "ovs"},
	{"1,000,000 connections: Mpps over 10,000's", METRIC_MPPS, {"lb", "established", 64, 1000000},
		AT_LEAST, 0.6, "sluice", {"lb", "established", 64, 10000}},
	{"1,000,000 new connections: millions a second", METRIC_MPPS, {"lb", "new", 64, 1000000}, AT_LEAST,
		5},
	{"established traffic while the table is full: percent lost", METRIC_LOSS, {"lb-full", "", 64, 10000},
		AT_MOST, 0},
	BALANCED(50),
	BALANCED(70),
	BALANCED(80),
	BALANCED_TCP(50),
	BALANCED_TCP(70),
	BALANCED_TCP(80),
	{"us from a backend's end until the last packet is sent to it, p99", METRIC_LATENCY_P99,
		{"failover", "last packet", 64, 1000}, AT_MOST, 1000},
	{"us from a backend's end until a new connection succeeds, p99", METRIC_LATENCY_P99,
		{"failover", "new connection", 64, 1000}, AT_MOST, 1000},
	{"TCP between two containers: Gbit/s over the kernel's bridge with veth", METRIC_GBPS,
		{"bulk", "local", 1518, 1}, AT_LEAST, 0.8, "linux-bridge"},
	BULK("to another host", "to remote", 0.8),
	BULK("between containers without offloads", "local, plain", 0.7),
	BULK("to another host without offloads", "to remote, plain", 0.7),
	{"100,000 instances: us from a registration to its place in every worker, p99", METRIC_LATENCY_P99,
		{"registry", "register", 64, 100000}, AT_MOST, 5000},
	{"100,000 instances: us from a registration to its first DNS answer, p99", METRIC_LATENCY_P99,
		{"registry", "first answer", 64, 100000}, AT_MOST, 5000},
	FIRST_PACKET("1", "packet 1"),
	FIRST_PACKET("100", "packet 100"),
	FIRST_PACKET("2,000", "packet 2000"),
	{"100,000 instances: DNS answers a second, one question at a time", METRIC_ANSWERS,
		{"registry", "dns", 64, 100000}, AT_LEAST, 20000},
	{"1,000 services: DNS answers a second to 32 clients", METRIC_ANSWERS,
		{"dns", "32 clients", 64, 1000}, AT_LEAST, 100000},
	{"1,000 services: the same, 500 questions under way", METRIC_ANSWERS,
		{"dns", "500 under way", 64, 1000}, AT_LEAST, 100000},
	{"asked twice as much: answers over the most otherwise", METRIC_OF_PEAK, {"dns", "twice", 64, 1000},
		AT_LEAST, 0.9},
	{"made-up names: processor time of an answer over that of a name that is there", METRIC_ANSWER,
		{"dns", "made up", 64, 1000}, AT_MOST, 1.2, "sluice", {"dns", "500 under way", 64, 1000}},
	AHEAD("dnsmasq"),
	AHEAD("unbound"),
	AHEAD("knot"),
	AHEAD("nsd"),
	AHEAD("bind"),
	AHEAD("pdns"),
	AHEAD("gdnsd"),
	{"100,000 instances: us from a change until 5,000 who wait have heard", METRIC_LATENCY_MAX,
		{"registry", "waiting", 64, 100000}, AT_MOST, 200000},
	{"100,000 instances: the same, each with a filter of its own", METRIC_LATENCY_MAX,
		{"registry", "different", 64, 100000}, AT_MOST, 200000},
	{"100,000 instances: the same, beside 20,000 DNS questions a second", METRIC_LATENCY_MAX,
		{"registry", "beside", 64, 100000}, AT_MOST, 200000},
	{"100,000 instances: MB that 5,000 who wait take", METRIC_PARKED, {"registry", "waiting", 64, 100000},
		AT_MOST, 60},
	ANSWERS(50),
	ANSWERS(1000),
	{"10,000 TCP checks a second: percent of a core that the control thread takes", METRIC_CONTROL,
		{"monitor", "alone", 64, 10000}, AT_MOST, 10},
	{"10,000 checks beside 20,000 DNS questions a second: turns over 50 ms late", METRIC_LATE,
		{"monitor", "beside dns", 64, 10000}, AT_MOST, 0},
	{"and us from a change until 100 who wait have heard", METRIC_LATENCY_MAX,
		{"monitor", "beside dns", 64, 10000}, AT_MOST, 200000},
	{"2 ports, no huge pages: MB of its own", METRIC_RSS_ANON, {"memory", "", 64, 2}, AT_MOST, 150},
	{0},
};

unsigned goal_sides(const struct goal *goal, struct report_side side[2])
{
	side[0] = (struct report_side){&goal->kind, goal->peer ? goal->peer : "sluice"};
	side[1] = (struct report_side){goal->other.scenario ? &goal->other : &goal->kind, goal->against};
	return goal->against ? 2 : 1;
}

/*
 * Each trial's own figure. `unlike` has those that were disturbed: something else ran on a core, or the
 * hypervisor took time.
 */
static void collect(
	const struct report *r, const struct report_side *side, enum metric metric, struct report_ratio *out)
{
	memset(out, 0, sizeof(*out));
	for (const struct trial *t = r->trials; t < r->trials + r->n_trials; t++)
		if (report_is_of(t, *side) && !isnan(t->value[metric]))
			report_add_figure(
				out, !report_disturbed(t) && t->stolen_ms == 0, t->state, t->value[metric]);
}

static bool is_met(const struct goal *goal, struct spread *figures)
{
	double figure = spread_median(figures);

	return goal->bound == AT_MOST ? figure <= goal->limit : figure >= goal->limit;
}

/* The figures of the goal, and those to decide by; NULL: there are no trials for it. */
static struct spread *judge(const struct report *r, const struct goal *goal, struct report_ratio *out)
{
	struct report_side side[2];

	if (goal_sides(goal, side) == 2)
		report_compare(r, side[0], side[1], goal->metric, out);
	else
		collect(r, &side[0], goal->metric, out);
	if (out->like.n > 0)
		return &out->like;
	return out->unlike.n > 0 ? &out->unlike : NULL;
}

static void print_verdict(const struct goal *goal, struct spread *figures, const char *trials)
{
	if (figures->n == 0)
		return;
	printf("%-7s %s %s: %.2f (%.2f..%.2f, %u %strials), %s %g\n",
		is_met(goal, figures) ? "met" : "not met", goal->kind.scenario, goal->text,
		spread_median(figures), spread_min(figures), spread_max(figures), figures->n, trials,
		goal->bound == AT_MOST ? "at most" : "at least", goal->limit);
}

/* Near and far apart, as they are two machines; what has neither is of a scenario that the cores do not matter to. */
static void print_goal(const struct goal *goal, struct report_ratio *ratio)
{
	print_verdict(goal, &ratio->near, "near ");
	print_verdict(goal, &ratio->far, "far ");
	if (ratio->near.n + ratio->far.n > 0)
		return;
	if (ratio->like.n > 0)
		print_verdict(goal, &ratio->like, "");
	else
		print_verdict(goal, &ratio->unlike, goal->against ? "unlike " : "disturbed ");
}

/* Why there are no trials for a goal. */
static const char *missing(const struct report *r, const struct goal *goal, char text[320])
{
	struct report_side side[2];

	for (unsigned i = 0, n = goal_sides(goal, side); i < n; i++) {
		const struct report_peer *p = r->peers;

		while (p < r->peers + r->n_peers && strcmp(p->name, side[i].peer) != 0)
			p++;
		if (p < r->peers + r->n_peers && !p->skipped[0])
			continue;
		snprintf(text, 320, "%s: %s", side[i].peer,
			p < r->peers + r->n_peers ? p->skipped : "not among --peers");
		return text;
	}
	return r->interrupted ? "interrupted" : "no trial of it came to an end, or none told this figure";
}

static bool asks_for_goals(const struct report *r)
{
	return strcmp(r->opt->scenario, "goals") == 0;
}

void goals_print(const struct report *r)
{
	static struct report_ratio ratio;
	char why[320];
	bool any = false;

	for (const struct goal *goal = goals; goal->text; goal++) {
		if (!judge(r, goal, &ratio))
			continue;
		if (!any)
			printf("\nGoals (medians; trials compared are of the same turn):\n");
		any = true;
		print_goal(goal, &ratio);
	}
	for (const struct goal *goal = goals; goal->text && asks_for_goals(r); goal++)
		if (!judge(r, goal, &ratio))
			printf("not measured: %s %s: %s\n", goal->kind.scenario, goal->text,
				missing(r, goal, why));
}

/* Of one state of the cores; null without trials. */
static json_t *state_json(const struct goal *goal, struct spread *figures)
{
	if (figures->n == 0)
		return json_null();
	return json_pack("{s:o, s:b}", "measured", spread_json(figures), "met", is_met(goal, figures));
}

json_t *goals_json(const struct report *r)
{
	static struct report_ratio ratio;
	json_t *list = json_array();

	for (const struct goal *goal = goals; goal->text; goal++) {
		struct spread *used = judge(r, goal, &ratio);

		if (!used)
			continue;
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:o, s:s, s:f, s:b, s:b, s:o, s:o}", "scenario",
				goal->kind.scenario, "goal", goal->text, "measured", spread_json(used),
				"bound", goal->bound == AT_MOST ? "at most" : "at least", "limit",
				goal->limit, "met", is_met(goal, used), "like", used == &ratio.like, "near",
				state_json(goal, &ratio.near), "far", state_json(goal, &ratio.far)));
	}
	return list;
}

json_t *goals_missing_json(const struct report *r)
{
	static struct report_ratio ratio;
	json_t *list = json_array();
	char why[320];

	for (const struct goal *goal = goals; goal->text && asks_for_goals(r); goal++)
		if (!judge(r, goal, &ratio))
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s}", "scenario", goal->kind.scenario, "goal",
					      goal->text, "why", missing(r, goal, why)));
	return list;
}
