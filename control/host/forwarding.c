#include "control/host/forwarding.h"

#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/host/ruleset.h"

#define IP_FORWARD "/proc/sys/net/ipv4/ip_forward"

/* What was translated on its way in, by us or by another's rule, is let in, and its answers out. */
#define TRANSLATED "  ct status dnat accept\n"

static const char *const forward_rules[EGRESS_COUNT] = {
	[EGRESS_HOST] = "",
	[EGRESS_NONE] = "  iifname \"%1$s\" drop\n"
			"  oifname \"%1$s\" drop\n",
	[EGRESS_MASQUERADE] = "  iifname \"%1$s\" oifname \"sl-*\" drop\n"
			      "  oifname \"%1$s\" ct state established,related accept\n"
			      "  oifname \"%1$s\" drop\n",
};

static void write_ports(const struct forwarding *f, FILE *out)
{
	char address[ADDR_IP4_TEXT], to[ADDR_IP4_TEXT];

	for (size_t i = 0; i < f->nport; i++) {
		const struct forwarding_port *port = &f->ports[i];

		if (port->address)
			fprintf(out, "  ip daddr %s", addr_ip4_text(port->address, address));
		else
			fprintf(out, "  meta nfproto ipv4 fib daddr type local");
		fprintf(out, " %s dport %u dnat ip to %s:%u\n", port->protocol, port->port,
			addr_ip4_text(port->to, to), port->to_port);
	}
}

/*
 * Ports: from outside and from containers by prerouting, from the host's own programs by output. A container that comes
 * back to its own network, and a program that speaks from the loopback, would be answered past the translation: so the
 * source becomes the gateway. Loopback addresses are routed for them alone: containers cannot send there.
 */
static void write_nat(const struct forwarding *f, FILE *out)
{
	char subnet[ADDR_IP_PREFIX_TEXT];

	if (f->nport) {
		fprintf(out,
			" chain prerouting {\n  type nat hook prerouting priority dstnat; policy accept;\n");
		write_ports(f, out);
		fprintf(out, " }\n chain output {\n  type nat hook output priority -100; policy accept;\n");
		write_ports(f, out);
		fprintf(out,
			" }\n chain loopback {\n  type filter hook prerouting priority raw; policy accept;\n"
			"  iifname \"%s\" ip daddr 127.0.0.0/8 drop\n }\n",
			f->ifname);
	}
	fprintf(out, " chain postrouting {\n  type nat hook postrouting priority srcnat; policy accept;\n");
	if (f->nport)
		fprintf(out, "  oifname \"%s\" ct status dnat ip saddr { 127.0.0.0/8, %s } masquerade\n",
			f->ifname, addr_ip_prefix_text(f->subnet, subnet));
	for (unsigned ip6 = 0; f->egress == EGRESS_MASQUERADE && ip6 < 2; ip6++) {
		struct ip_prefix of = ip6 ? f->subnet6 : f->subnet;

		if (!ip_is_none(of.address))
			fprintf(out, "  %s saddr %s oifname != \"%s\" masquerade\n", ip6 ? "ip6" : "ip",
				addr_ip_prefix_text(of, subnet), f->ifname);
	}
	fprintf(out, " }\n");
}

static bool is_needed(const struct forwarding *f)
{
	return f->egress != EGRESS_HOST || f->nport;
}

/* The transaction, to be freed: the table is added, so that it can be deleted, and made anew. NULL: no memory. */
static char *commands_of(const struct forwarding *f)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "table inet %1$s\ndelete table inet %1$s\n", f->ifname);
	if (is_needed(f)) {
		fprintf(out,
			"table inet %s {\n chain forward {\n  type filter hook forward priority filter; "
			"policy accept;\n%s",
			f->ifname, TRANSLATED);
		fprintf(out, forward_rules[f->egress], f->ifname);
		fprintf(out, " }\n");
		write_nat(f, out);
		fprintf(out, "}\n");
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* Has the host forward packets, by `file`, which is IP_FORWARD. */
static int forward(FILE *file, bool *began)
{
	*began = fgetc(file) == '0';
	rewind(file);
	return *began && (fputs("1\n", file) == EOF || fflush(file)) ? -1 : 0;
}

/* Lets the host's own programs reach published ports by a loopback address. Without it they have the others. */
static void route_loopback(const char *ifname)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", ifname);
	file = fopen(path, "we");
	if (!file)
		return;
	fputs("1\n", file);
	fclose(file);
}

static int set(const struct forwarding *f, FILE *file, bool *began, char why[FORWARDING_WHY])
{
	char *commands = commands_of(f);
	int rc = commands ? ruleset_run(commands, why) : -1;

	if (!commands)
		snprintf(why, FORWARDING_WHY, "out of memory");
	free(commands);
	if (rc == 0 && file && forward(file, began) < 0) {
		snprintf(why, FORWARDING_WHY, "cannot write %s: %s", IP_FORWARD, strerror(errno));
		return -1;
	}
	return rc;
}

int forwarding_set(const struct forwarding *forwarding, bool *began, char why[FORWARDING_WHY])
{
	FILE *file;
	int rc;

	*began = false;
	if (forwarding->egress != EGRESS_MASQUERADE && !forwarding->nport)
		return set(forwarding, NULL, began, why);
	file = fopen(IP_FORWARD, "r+e"); /* before anything is changed */
	if (!file) {
		snprintf(why, FORWARDING_WHY, "cannot open %s: %s", IP_FORWARD, strerror(errno));
		return -1;
	}
	rc = set(forwarding, file, began, why);
	if (rc == 0 && forwarding->nport)
		route_loopback(forwarding->ifname);
	fclose(file);
	return rc;
}

int forwarding_begin(bool *began, char why[FORWARDING_WHY])
{
	FILE *file = fopen(IP_FORWARD, "r+e");
	int rc = file ? forward(file, began) : -1;

	if (rc < 0)
		snprintf(why, FORWARDING_WHY, "cannot write %s: %s", IP_FORWARD, strerror(errno));
	if (file)
		fclose(file);
	return rc;
}

void forwarding_clear(const char *ifname)
{
	ruleset_delete(ifname);
}

/* Of a network's table its gateway's interface: the part of the name behind the last ".". */
static const char *interface_of(const char *table)
{
	const char *dot = strrchr(table, '.');

	return dot ? dot + 1 : table;
}

void forwarding_sweep(void)
{
	json_t *tables = ruleset_tables(), *entry;
	size_t i;

	json_array_foreach (json_object_get(tables, "nftables"), i, entry) {
		const char *name =
			json_string_value(json_object_get(json_object_get(entry, "table"), "name"));

		const char *ifname = name ? interface_of(name) : "";

		if (strncmp(ifname, "sl-", 3) == 0 && strlen(name) < RULESET_NAME && !if_nametoindex(ifname))
			ruleset_delete(name);
	}
	json_decref(tables);
}
