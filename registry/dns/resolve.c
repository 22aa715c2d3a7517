/*
 * resolve.c: from a name to an answer. A name without a record of the type asked for has NODATA, no error
 * and no record; a name that is not there, and a service without a healthy instance, NXDOMAIN; both with the
 * SOA, so that resolvers know how long that holds (RFC 2308).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "registry/dns/inside.h"

static void missing(struct dns_build *build)
{
	build->answer->rcode = LDNS_RCODE_NXDOMAIN;
	build->answer->brief = true;
}

static void put_apex(struct dns_build *build, const struct dns_name *name)
{
	const struct dns *dns = build->dns;
	const struct reg_node *node = registry_node_find(dns->reg, "");
	char server[512];
	unsigned at;

	build->answer->basis.whole = registry_generation(dns->reg) + 1; /* the serial number is that */
	dns_node_name(dns, node->name, server);
	if (dns_wants(build, LDNS_RR_TYPE_SOA))
		dns_put_soa(build, DNS_ANSWER, NULL);
	if (!dns_wants(build, LDNS_RR_TYPE_NS))
		return;
	at = dns_put_name(build, DNS_ANSWER, NULL, LDNS_RR_TYPE_NS, dns->config.node_ttl_s, server);
	if (at)
		build->answer->answer.item[at - 1].extra = (uint16_t)dns_put_host(
			build, DNS_EXTRA, server, dns->config.node_ttl_s, node->address);
}

static void put_instances(struct dns_build *build, const struct dns_name *name)
{
	char tag[DNS_NAME_MAX + 1];
	struct service *service = dns_service_of(build->dns, name, tag);

	if (service)
		dns_put_service(build, service, tag);
	else
		missing(build);
}

static void put_vip(struct dns_build *build, const struct service *service)
{
	struct dns_basis *basis = &build->answer->basis;

	memcpy(basis->service, service->def.name, sizeof(basis->service));
	basis->service_generation = service->generation;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_addr vip = reg_service_vip(&service->def, ip6);

		if (!ip_is_none(vip))
			dns_put_address(build, DNS_ANSWER, NULL, build->dns->config.ttl_s, vip);
	}
}

static void put_virtual(struct dns_build *build, const struct dns_name *name)
{
	struct service *service = dns_service_named(build->dns, name->name);

	if (service && !ip_is_none(service->def.vip))
		put_vip(build, service);
	else
		missing(build);
}

static const struct reg_node *node_named(struct dns *dns, const char *name)
{
	const struct reg_node *node = registry_node_find(dns->reg, name);

	return node ? node : dns_index_node(dns, name);
}

/* The key with = and ` quoted, and blanks at its ends (RFC 1464). */
static size_t quote_key(const char *key, char *out, size_t room)
{
	size_t begin = strspn(key, " "), end = strlen(key), used = 0;

	while (end > begin && key[end - 1] == ' ')
		end--;
	for (size_t i = 0; key[i] && used + 2 < room; i++) {
		if (key[i] == '=' || key[i] == '`' || i < begin || i >= end)
			out[used++] = '`';
		out[used++] = key[i];
	}
	out[used] = '\0';
	return used;
}

/* "key=value"; of a key that begins with rfc1035- the value alone. */
static void put_meta(struct dns_build *build, uint32_t ttl, const struct reg_pair *meta)
{
	bool alone = strncasecmp(meta->key, "rfc1035-", strlen("rfc1035-")) == 0;
	char text[1024];
	size_t used = alone ? 0 : quote_key(meta->key, text, sizeof(text) / 2);

	if (!alone)
		text[used++] = '=';
	for (const char *at = meta->value; *at && used + 2 < sizeof(text); at++) {
		if (*at == '`' && !alone)
			text[used++] = '`';
		text[used++] = *at;
	}
	text[used] = '\0';
	dns_put_txt(build, ttl, text);
}

static void put_node(struct dns_build *build, const struct dns_name *name)
{
	const struct reg_node *node = node_named(build->dns, name->name);
	uint32_t ttl = build->dns->config.node_ttl_s;

	if (!node) {
		missing(build);
		return;
	}
	for (unsigned i = 0; dns_wants(build, LDNS_RR_TYPE_TXT) && i < node->nmeta; i++)
		put_meta(build, ttl, &node->meta[i]);
	if (!build->answer->answer.count || build->query->type == LDNS_RR_TYPE_ANY)
		dns_put_host(build, DNS_ANSWER, NULL, ttl, node->address);
}

static void put_addr(struct dns_build *build, const struct dns_name *name)
{
	size_t len = strlen(name->name);
	uint8_t address[16];
	uint32_t ip4;

	build->answer->brief = true;
	if ((len != 8 && len != 32) || strspn(name->name, "0123456789abcdef") != len) {
		missing(build);
		return;
	}
	for (size_t i = 0; i < len / 2; i++) {
		char digits[3] = {name->name[2 * i], name->name[2 * i + 1]};

		address[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	memcpy(&ip4, address, sizeof(ip4));
	if (len == 8 && dns_wants(build, LDNS_RR_TYPE_A))
		dns_put_a(build, DNS_ANSWER, NULL, build->dns->config.node_ttl_s, ip4);
	if (len == 32 && dns_wants(build, LDNS_RR_TYPE_AAAA))
		dns_put_aaaa(build, DNS_ANSWER, NULL, build->dns->config.node_ttl_s, address);
}

/* Of a service of the network its vip, or its instances; else the port called so. */
static void put_local(struct dns_build *build, const struct dns_name *name)
{
	struct dns *dns = build->dns;
	const char *network = build->query->listener->network;
	struct service *service = dns_service_named(dns, name->name);
	struct ip_addr ips[DNS_PORT_IPS];
	size_t n;

	build->answer->basis.ports = dns->ports;
	if (service) { /* also another network's: it may become this one's */
		memcpy(build->answer->basis.service, service->def.name, sizeof(build->answer->basis.service));
		build->answer->basis.service_generation = service->generation;
	}
	if (service && (!service->def.network[0] || strcmp(service->def.network, network) == 0)) {
		if (!ip_is_none(service->def.vip) && build->query->type != LDNS_RR_TYPE_SRV)
			put_vip(build, service);
		else
			dns_put_service(build, service, "");
		return;
	}
	n = dns->config.port_ips(dns->config.ctx, network, name->name, ips, DNS_PORT_IPS);
	if (!n && strcmp(name->name, network) != 0) /* names are below that one */
		missing(build);
	for (size_t i = 0; i < n; i++)
		dns_put_address(build, DNS_ANSWER, NULL, dns->config.node_ttl_s, ips[i]);
}

static void put_nothing(struct dns_build *build, const struct dns_name *name) {}

static void put_missing(struct dns_build *build, const struct dns_name *name)
{
	missing(build);
}

static void put_outside(struct dns_build *build, const struct dns_name *name)
{
	build->answer->forward = build->answer->brief = true;
}

static void (*const kinds[])(struct dns_build *build, const struct dns_name *name) = {
	[DNS_OUTSIDE] = put_outside,
	[DNS_NONE] = put_missing,
	[DNS_APEX] = put_apex,
	[DNS_EMPTY] = put_nothing,
	[DNS_SERVICE] = put_instances,
	[DNS_RFC2782] = put_instances,
	[DNS_VIRTUAL] = put_virtual,
	[DNS_NODE] = put_node,
	[DNS_ADDR] = put_addr,
	[DNS_REVERSE] = dns_put_reverse,
	[DNS_LOCAL] = put_local,
};

/* The zone that says that something is not there. */
static const char *zone_of(const struct dns *dns, const struct dns_query *query, const struct dns_name *name)
{
	if (query->ours)
		return dns->domain;
	if (strchr(query->name, '.') && name->kind != DNS_REVERSE)
		return query->listener->network;
	return NULL;
}

int dns_resolve(struct dns *dns, const struct dns_query *query, struct dns_answer *answer, ldns_buffer *wire)
{
	struct dns_build build = {.dns = dns, .query = query, .answer = answer, .wire = wire};
	struct dns_name name;

	answer->rcode = LDNS_RCODE_NOERROR;
	answer->basis.names = registry_names_generation(dns->reg);
	answer->basis.nodes = registry_nodes_generation(dns->reg);
	dns_name_read(dns, query, &name);
	kinds[name.kind](&build, &name);
	if (!answer->answer.count && !answer->forward)
		dns_put_soa(&build, DNS_AUTHORITY, zone_of(dns, query, &name));
	return build.failed ? -ENOMEM : 0;
}
