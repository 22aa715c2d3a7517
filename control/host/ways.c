#include "control/host/ways.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/host/netlink.h"

struct ways {
	char table[RULESET_NAME], ifname[16]; /* "": none */
	char *rules;			      /* as they are now; NULL: none, or not known */
	struct ip_addr *vips;		      /* that are routed, sorted */
	size_t nvip;
	int index; /* of the interface that they are routed to */
};

struct ways *ways_open(void)
{
	return calloc(1, sizeof(struct ways));
}

static void forget(struct ways *ways)
{
	if (ways->table[0])
		ruleset_delete(ways->table);
	free(ways->rules);
	free(ways->vips);
	*ways = (struct ways){0};
}

void ways_close(struct ways *ways)
{
	if (ways)
		forget(ways);
	free(ways);
}

/* Which of the ways a map has. */
struct part {
	bool ip6, own, near;
};

static bool is_of(const struct way *way, const struct part *part)
{
	return ip_is4(way->to) != part->ip6 && ip_is_none(way->address) == part->own;
}

/* One look-up for all of them, of a kind. Without any there is no rule: a map of none is no map. */
static void write_map(FILE *out, const struct ways_spec *spec, const struct part *part)
{
	const char *family = part->ip6 ? "ip6" : "ip";
	char address[IP_TEXT];
	bool begun = false;

	for (size_t i = 0; i < spec->n; i++) {
		const struct way *way = &spec->list[i];

		if (!is_of(way, part))
			continue;
		if (!begun && part->own)
			fprintf(out,
				"  %s daddr != %s fib daddr type local dnat %s to meta l4proto . th dport "
				"map {",
				family, part->ip6 ? "::1" : "127.0.0.0/8", family);
		else if (!begun)
			fprintf(out, "  dnat %s to %s daddr . meta l4proto . th dport map {", family, family);
		fputs(begun ? ", " : " ", out);
		if (!part->own)
			fprintf(out, "%s . ", ip_text(way->address, address));
		fprintf(out, "%s . %u : %s . %u", way->protocol, way->port, ip_text(way->to, address),
			part->near ? way->near_port : way->to_port);
		begun = true;
	}
	if (begun)
		fputs(" }\n", out);
}

/* Has it all addresses of the family? A prefix of IPv6 may be as long as that of all of IPv4. */
static bool is_everybody(struct ip_prefix from, bool ip4)
{
	return ip_is4(from.address) == ip4 && from.len == (ip4 ? IP_PREFIX4 : 0);
}

/* Who may not come is dropped before he is led anywhere. */
static void write_limit(FILE *out, const struct way *way)
{
	const char *family = ip_is4(way->to) ? "ip" : "ip6";
	char text[ADDR_IP_PREFIX_TEXT];
	unsigned n = 0;

	for (unsigned i = 0; i < way->nfrom; i++)
		if (is_everybody(way->from[i], ip_is4(way->to)))
			return;
	fprintf(out, "  %s daddr %s meta l4proto %s th dport %u", family, ip_text(way->address, text),
		way->protocol, way->port);
	for (unsigned i = 0; i < way->nfrom; i++)
		if (ip_is4(way->from[i].address) == ip_is4(way->to))
			fprintf(out, "%s%s",
				n++	    ? ", "
				: family[2] ? " ip6 saddr != { "
					    : " ip saddr != { ",
				addr_ip_prefix_text(way->from[i], text));
	fputs(n ? " } drop\n" : " drop\n", out);
}

static void write_chain(FILE *out, const struct ways_spec *spec, const char *name, bool near)
{
	fprintf(out, " chain %s {\n", name);
	for (size_t i = 0; i < spec->n; i++)
		if (spec->list[i].limited)
			write_limit(out, &spec->list[i]);
	for (unsigned i = 0; i < 4; i++)
		write_map(out, spec, &(struct part){.ip6 = i & 1, .own = i >= 2, .near = near});
	fputs(" }\n", out);
}

static int compare_targets(const void *a, const void *b)
{
	const struct way *x = *(const struct way *const *)a, *y = *(const struct way *const *)b;
	int order = ip_compare(x->to, y->to);

	if (!order)
		order = (int)x->to_port - (int)y->to_port;
	return order ? order : strcmp(x->protocol, y->protocol);
}

/* By where they were led, which says whether the client is to become this host. `list` has room for all. */
static void write_masquerade(FILE *out, const struct ways_spec *spec, bool ip6, const struct way **list)
{
	const char *family = ip6 ? "ip6" : "ip";
	char address[IP_TEXT];
	size_t n = 0;

	for (size_t i = 0; i < spec->n; i++)
		if (spec->list[i].masquerade && ip_is4(spec->list[i].to) != ip6)
			list[n++] = &spec->list[i];
	if (!n)
		return;
	qsort(list, n, sizeof(const struct way *), compare_targets);
	fprintf(out, "  oifname \"%s\" ct status dnat %s daddr . meta l4proto . th dport {", spec->ifname,
		family);
	for (size_t i = 0; i < n; i++)
		if (!i || compare_targets(&list[i - 1], &list[i]) != 0)
			fprintf(out, "%s%s . %s . %u", i ? ", " : " ", ip_text(list[i]->to, address),
				list[i]->protocol, list[i]->to_port);
	fputs(" } masquerade\n", out);
}

/* A container that comes back to its own network would be answered past the translation. */
static void write_back(FILE *out, const struct ways_spec *spec, bool ip6)
{
	struct ip_prefix of = ip6 ? spec->subnet6 : spec->subnet;
	char subnet[ADDR_IP_PREFIX_TEXT];

	if (!ip_is_none(of.address))
		fprintf(out, "  oifname \"%s\" ct status dnat %s saddr %s masquerade\n", spec->ifname,
			ip6 ? "ip6" : "ip", addr_ip_prefix_text(of, subnet));
}

/* Behind what people publish, which so comes first. The table is added, so that it can be deleted, and made anew. */
static void write_table(FILE *out, const struct ways_spec *spec, const char *table, const struct way **room)
{
	fprintf(out, "table inet %1$s\ndelete table inet %1$s\n", table);
	if (!spec->n)
		return;
	fprintf(out, "table inet %s {\n", table);
	write_chain(out, spec, "far", false);
	write_chain(out, spec, "near", true);
	fprintf(out,
		" chain prerouting {\n  type nat hook prerouting priority dstnat + 1; policy accept;\n"
		"  iifname \"%s\" goto near\n  goto far\n }\n"
		" chain output {\n  type nat hook output priority -99; policy accept;\n  goto near\n }\n"
		" chain postrouting {\n  type nat hook postrouting priority srcnat; policy accept;\n",
		spec->ifname);
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		write_masquerade(out, spec, ip6, room);
		write_back(out, spec, ip6);
	}
	fputs(" }\n}\n", out);
}

static char *rules_of(const struct ways_spec *spec, const char *table)
{
	const struct way **room = calloc(spec->n ? spec->n : 1, sizeof(struct way *));
	char *text = NULL;
	size_t size;
	FILE *out = room ? open_memstream(&text, &size) : NULL;

	if (out) {
		write_table(out, spec, table, room);
		if (fclose(out)) {
			free(text);
			text = NULL;
		}
	}
	free(room);
	return text;
}

static int set_rules(struct ways *ways, const struct ways_spec *spec, char why[RULESET_WHY])
{
	char *rules = rules_of(spec, ways->table);
	int rc = 0;

	if (!rules) {
		snprintf(why, RULESET_WHY, "out of memory");
		return -1;
	}
	if (ways->rules && strcmp(ways->rules, rules) == 0) {
		free(rules);
		return 0;
	}
	rc = ruleset_run(rules, why);
	free(ways->rules);
	ways->rules = rc < 0 ? NULL : rules;
	if (rc < 0)
		free(rules);
	return rc;
}

static int compare_vips(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

static bool is_routable(const struct ways_spec *spec, struct ip_addr vip)
{
	struct ip_prefix subnet = ip_is4(vip) ? spec->subnet : spec->subnet6;

	return !ip_is_none(subnet.address) && !ip_inside(vip, subnet);
}

/* What is to be routed: of the subnet it is so already, and of a family that the network lacks nobody can come. */
static size_t choose_vips(const struct ways_spec *spec, struct ip_addr *list)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < spec->nvip; i++)
		if (is_routable(spec, spec->vips[i]))
			list[n++] = spec->vips[i];
	if (n)
		qsort(list, n, sizeof(list[0]), compare_vips);
	for (size_t i = 0; i < n; i++)
		if (!kept || !ip_equal(list[kept - 1], list[i]))
			list[kept++] = list[i];
	return kept;
}

/* Both are sorted. What fails now is tried again with the next change: `fresh` keeps what is routed. */
static int move_routes(const struct ways *ways, struct netlink *nl, struct ip_addr *fresh, size_t *n)
{
	size_t i = 0, j = 0, kept = 0;
	int failed = 0, rc;

	while (i < ways->nvip || j < *n) {
		int order = i == ways->nvip ? 1 : j == *n ? -1 : ip_compare(ways->vips[i], fresh[j]);

		rc = 0;
		if (order < 0)
			netlink_route_del(nl, ways->index, ways->vips[i]);
		else if (order > 0)
			rc = netlink_route_add(nl, ways->index, fresh[j]);
		if (order >= 0 && rc == 0)
			fresh[kept++] = fresh[j];
		failed = rc < 0 ? rc : failed;
		i += order <= 0;
		j += order >= 0;
	}
	*n = kept;
	return failed;
}

static int set_routes(struct ways *ways, const struct ways_spec *spec, char why[RULESET_WHY])
{
	struct ip_addr *fresh = calloc(spec->nvip ? spec->nvip : 1, sizeof(*fresh));
	struct netlink *nl = NULL;
	size_t n;
	int rc = fresh ? netlink_open(-1, &nl) : -ENOMEM;

	if (rc == 0)
		rc = netlink_index(nl, spec->ifname);
	if (rc > 0 && rc != ways->index) { /* another interface: the routes went with the one before */
		ways->nvip = 0;
		ways->index = rc;
	}
	if (rc > 0) {
		n = choose_vips(spec, fresh);
		rc = move_routes(ways, nl, fresh, &n);
		free(ways->vips);
		ways->vips = fresh;
		ways->nvip = n;
		fresh = NULL;
	}
	netlink_close(nl);
	free(fresh);
	if (rc < 0)
		snprintf(why, RULESET_WHY, "cannot route to %s: %s", spec->ifname, strerror(-rc));
	return rc < 0 ? -1 : 0;
}

int ways_set(struct ways *ways, const struct ways_spec *spec, char why[RULESET_WHY])
{
	if (strcmp(ways->ifname, spec->ifname) != 0) {
		forget(ways);
		snprintf(ways->ifname, sizeof(ways->ifname), "%s", spec->ifname);
		snprintf(ways->table, sizeof(ways->table), "ways.%s", spec->ifname);
	}
	if (set_rules(ways, spec, why) < 0)
		return -1;
	return set_routes(ways, spec, why);
}
