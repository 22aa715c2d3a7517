#include "control/host/forwarding.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/host/docker_user.h"
#include "control/host/ruleset.h"

#define IP_FORWARD "/proc/sys/net/ipv4/ip_forward"
#define IP6_CONF "/proc/sys/net/ipv6/conf"
#define IP6_FORWARD IP6_CONF "/all/forwarding"

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
	char address[IP_TEXT], to[IP_PORT_TEXT];

	for (size_t i = 0; i < f->nport; i++) {
		const struct forwarding_port *port = &f->ports[i];
		const char *family = ip_is4(port->to) ? "ip" : "ip6";

		if (!ip_is_unspecified(port->address))
			fprintf(out, "  %s daddr %s", family, ip_text(port->address, address));
		else
			fprintf(out, "  %s fib daddr type local",
				ip_is4(port->to) ? "meta nfproto ipv4" : "ip6 daddr != ::1");
		fprintf(out, " %s dport %u dnat %s to %s\n", port->protocol, port->port, family,
			ip_port_text(port->to, port->to_port, to));
	}
}

/* To these nothing is translated. */
static void write_near(const struct forwarding *f, bool ip6, FILE *out)
{
	struct ip_prefix of = ip6 ? f->subnet6 : f->subnet;
	const char *family = ip6 ? "ip6" : "ip";
	char text[ADDR_IP_PREFIX_TEXT];
	size_t n = 0;

	for (size_t i = 0; i < f->nnear; i++) {
		if (ip_is4(f->near[i]) == ip6)
			continue;
		if (!n++)
			fprintf(out, "  %s saddr %s %s daddr {", family, addr_ip_prefix_text(of, text),
				family);
		fprintf(out, "%s%s", n > 1 ? ", " : " ", ip_text(f->near[i], text));
	}
	if (n)
		fputs(" } return\n", out);
}

/*
 * Ports: from outside and from containers by prerouting, from the host's own programs by output. A container that comes
 * back to its own network, and a program that speaks from the loopback, would be answered past the translation: so the
 * source becomes the gateway. Loopback addresses are routed for them alone: containers cannot send there. ::1 is left out:
 * the kernel takes answers to it from the loopback alone, and who asked there would wait for them.
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
	if (f->nport && !ip_is_none(f->subnet.address))
		fprintf(out, "  oifname \"%s\" ct status dnat ip saddr { 127.0.0.0/8, %s } masquerade\n",
			f->ifname, addr_ip_prefix_text(f->subnet, subnet));
	if (f->nport && !ip_is_none(f->subnet6.address))
		fprintf(out, "  oifname \"%s\" ct status dnat ip6 saddr %s masquerade\n", f->ifname,
			addr_ip_prefix_text(f->subnet6, subnet));
	for (unsigned ip6 = 0; f->egress == EGRESS_MASQUERADE && ip6 < 2; ip6++) {
		struct ip_prefix of = ip6 ? f->subnet6 : f->subnet;

		if (ip_is_none(of.address))
			continue;
		write_near(f, ip6, out);
		fprintf(out, "  %s saddr %s oifname != \"%s\" masquerade\n", ip6 ? "ip6" : "ip",
			addr_ip_prefix_text(of, subnet), f->ifname);
	}
	fprintf(out, " }\n");
}

static bool is_needed(const struct forwarding *f)
{
	return f->egress != EGRESS_HOST || f->nport;
}

/* Do its own rules decide on all of its packets? What is left to the host is left to Docker's rules, too. */
static bool decides(const struct forwarding *f)
{
	return f->egress == EGRESS_MASQUERADE || (f->egress == EGRESS_NONE && f->nport);
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
	if (decides(f))
		docker_user_allow(f->ifname, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* A switch of the kernel's that this host has to forward by. */
struct forward {
	const char *path;
	unsigned bit;
	bool wanted;
	FILE *file;
};

/* Who believes routers unless the host forwards does so though it forwards, from now on (accept_ra 2). */
static void believe_routers(void)
{
	DIR *dir = opendir(IP6_CONF);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[sizeof(IP6_CONF) + sizeof(entry->d_name) + sizeof("/accept_ra")];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s/accept_ra", IP6_CONF, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r+e");
		if (!file)
			continue;
		if (fgetc(file) == '1') {
			rewind(file);
			fputs("2\n", file);
		}
		fclose(file);
	}
	if (dir)
		closedir(dir);
}

/* Has the host forward packets. */
static int forward(const struct forward *by, unsigned *began)
{
	bool begins = fgetc(by->file) == '0';

	rewind(by->file);
	if (!begins)
		return 0;
	if (by->bit == FORWARDING_IP6)
		believe_routers();
	*began |= by->bit;
	return fputs("1\n", by->file) == EOF || fflush(by->file) ? -1 : 0;
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

static bool has_port(const struct forwarding *f, bool ip6)
{
	for (size_t i = 0; i < f->nport; i++)
		if (ip_is4(f->ports[i].to) != ip6)
			return true;
	return false;
}

static int set(const struct forwarding *f, char why[FORWARDING_WHY])
{
	char *commands = commands_of(f);
	int rc = commands ? ruleset_run(commands, why) : -1;

	if (!commands)
		snprintf(why, FORWARDING_WHY, "out of memory");
	free(commands);
	if (rc == 0 && !decides(f))
		docker_user_forget(f->ifname);
	return rc;
}

int forwarding_set(const struct forwarding *forwarding, unsigned *began, char why[FORWARDING_WHY])
{
	struct forward by[] = {
		{IP_FORWARD, FORWARDING_IP4,
			forwarding->egress == EGRESS_MASQUERADE || has_port(forwarding, false), NULL},
		{IP6_FORWARD, FORWARDING_IP6, has_port(forwarding, true), NULL},
	};
	int rc = 0;

	*began = 0;
	for (size_t i = 0; i < 2 && rc == 0; i++) { /* before anything is changed */
		by[i].file = by[i].wanted ? fopen(by[i].path, "r+e") : NULL;
		if (by[i].wanted && !by[i].file)
			rc = -1;
		if (rc)
			snprintf(why, FORWARDING_WHY, "cannot open %s: %s", by[i].path, strerror(errno));
	}
	if (rc == 0)
		rc = set(forwarding, why);
	for (size_t i = 0; i < 2 && rc == 0; i++)
		if (by[i].file && forward(&by[i], began) < 0) {
			snprintf(why, FORWARDING_WHY, "cannot write %s: %s", by[i].path, strerror(errno));
			rc = -1;
		}
	if (rc == 0 && has_port(forwarding, false))
		route_loopback(forwarding->ifname);
	for (size_t i = 0; i < 2; i++)
		if (by[i].file)
			fclose(by[i].file);
	return rc;
}

int forwarding_begin(bool *began, char why[FORWARDING_WHY])
{
	struct forward by = {IP_FORWARD, FORWARDING_IP4, true, fopen(IP_FORWARD, "r+e")};
	unsigned families = 0;
	int rc = by.file ? forward(&by, &families) : -1;

	*began = families;
	if (rc < 0)
		snprintf(why, FORWARDING_WHY, "cannot write %s: %s", IP_FORWARD, strerror(errno));
	if (by.file)
		fclose(by.file);
	return rc;
}

/* The one character that the file begins with; it is another from now on where `to` is not 0. */
static char setting(const char *ifname, char to)
{
	char path[96];
	FILE *file;
	int was;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", ifname);
	file = fopen(path, to ? "r+e" : "re");
	if (!file)
		return '0';
	was = fgetc(file);
	if (to) {
		rewind(file);
		fprintf(file, "%c\n", to);
	}
	fclose(file);
	return (char)was;
}

/* The higher of the two holds. */
static bool is_strict(const char *ifname)
{
	char own = setting(ifname, 0), all = setting("all", 0);

	return own != '2' && all != '2' && (own == '1' || all == '1');
}

/* The first interface with this address. False: there is none. */
static bool interface_with(struct ip_addr address, char ifname[IF_NAMESIZE])
{
	struct ifaddrs *list = NULL;
	bool found = false;

	if (!ip_is4(address) || getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *at = list; at && !found; at = at->ifa_next) {
		found = at->ifa_addr && at->ifa_addr->sa_family == AF_INET &&
			((const struct sockaddr_in *)at->ifa_addr)->sin_addr.s_addr == ip_to4(address);
		if (found)
			snprintf(ifname, IF_NAMESIZE, "%s", at->ifa_name);
	}
	freeifaddrs(list);
	return found;
}

bool forwarding_loosen(struct ip_addr address, struct forwarding_loose *loose)
{
	char ifname[IF_NAMESIZE] = "";

	if (!interface_with(address, ifname) || strcmp(ifname, loose->ifname) != 0)
		forwarding_restore(loose);
	if (!ifname[0] || !is_strict(ifname))
		return false;
	loose->was = setting(ifname, '2');
	if (setting(ifname, 0) != '2')
		return false;
	memcpy(loose->ifname, ifname, sizeof(ifname));
	return true;
}

bool forwarding_restore(struct forwarding_loose *loose)
{
	bool ours = loose->ifname[0] && setting(loose->ifname, 0) == '2';

	if (ours)
		setting(loose->ifname, loose->was);
	loose->ifname[0] = '\0';
	return ours;
}

void forwarding_clear(const char *ifname)
{
	ruleset_delete(ifname);
	docker_user_forget(ifname);
}

/* Of a network's table its gateway's interface: the part of the name behind the last ".". */
static const char *interface_of(const char *table)
{
	const char *dot = strrchr(table, '.');

	return dot ? dot + 1 : table;
}

void forwarding_sweep(void)
{
	json_t *tables = ruleset_list("list tables inet"), *entry;
	size_t i;

	json_array_foreach (json_object_get(tables, "nftables"), i, entry) {
		const char *name =
			json_string_value(json_object_get(json_object_get(entry, "table"), "name"));

		const char *ifname = name ? interface_of(name) : "";

		if (strncmp(ifname, "sl-", 3) == 0 && strlen(name) < RULESET_NAME && !if_nametoindex(ifname))
			ruleset_delete(name);
	}
	json_decref(tables);
	docker_user_sweep();
}
