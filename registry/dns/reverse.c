/* reverse.c: who has an address: ports, nodes and services. */
#include <stdio.h>
#include <string.h>

#include "registry/dns/inside.h"

enum { PTRS_MAX = 16 };

struct finding {
	struct dns_build *build;
	const struct dns_name *name;
	unsigned n;
};

static void put_ptr(struct finding *finding, const char *name)
{
	const struct dns *dns = finding->build->dns;

	dns_put_name(finding->build, DNS_ANSWER, NULL, LDNS_RR_TYPE_PTR, dns->config.node_ttl_s, name);
	finding->n++;
}

static void put_port(struct finding *finding)
{
	const struct dns *dns = finding->build->dns;
	const char *network = finding->build->query->listener->network, *port = NULL;
	char text[512];

	if (network[0])
		port = dns->config.port_name(dns->config.ctx, network, finding->name->address);
	if (!port)
		return;
	snprintf(text, sizeof(text), "%s.%s", port, network);
	put_ptr(finding, text);
}

static void put_nodes(struct finding *finding)
{
	const struct dns *dns = finding->build->dns;
	const struct dns_node_address *at;
	char text[512];
	size_t n;

	at = dns_index_at(finding->build->dns, finding->name->address, &n);
	for (size_t i = 0; i < n && finding->n < PTRS_MAX; i++) {
		dns_node_name(dns, at[i].node->name, text);
		put_ptr(finding, text);
	}
}

static void put_services(struct finding *finding)
{
	const struct dns *dns = finding->build->dns;
	struct ip_addr address = finding->name->address;
	const struct backend *backend;
	const struct host *host = NULL;
	const char *last = "";
	char text[512];

	if (!ip_is_none(address)) /* by that, those without an address */
		HASH_FIND(hh, dns->reg->hosts, &address, sizeof(address), host);
	for (backend = host ? LIST_FIRST(&host->backends) : NULL; backend && finding->n < PTRS_MAX;
		backend = LIST_NEXT(backend, same_host)) {
		if (strcmp(backend->service->def.name, last) == 0)
			continue;
		last = backend->service->def.name;
		snprintf(text, sizeof(text), "%s.service.%s.%s", last, dns->datacenter, dns->domain);
		put_ptr(finding, text);
	}
}

void dns_put_reverse(struct dns_build *build, const struct dns_name *name)
{
	struct finding finding = {.build = build, .name = name};
	struct dns_answer *answer = build->answer;

	answer->basis.whole = registry_generation(build->dns->reg) + 1;
	answer->basis.ports = build->dns->ports;
	put_port(&finding);
	put_nodes(&finding);
	put_services(&finding);
	if (!finding.n && build->dns->nrecursors)
		answer->forward = true;
	else if (!finding.n)
		answer->rcode = LDNS_RCODE_NXDOMAIN;
	answer->brief = !finding.n;
	if (!dns_wants(build, LDNS_RR_TYPE_PTR))
		answer->answer.count = 0;
}
