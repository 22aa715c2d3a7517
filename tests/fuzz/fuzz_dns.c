/* Messages to the DNS server, by UDP or, when the first byte is odd, by TCP: each is answered by one that can be
 * read, or not at all. */
#include <stdlib.h>

#include "registry/dns/inside.h"
#include "tests/unit/registry/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t port_ips(void *ctx, const char *network, const char *name, struct ip_addr *ips, size_t max)
{
	ips[0] = ip("10.1.0.7");
	return strcmp(name, "c1") == 0;
}

static const char *port_name(void *ctx, const char *network, struct ip_addr address)
{
	return ip_equal(address, ip("10.1.0.7")) ? "c1" : NULL;
}

static struct dns *start(struct world *w)
{
	struct dns_config config = {
		.base = w->base, .reg = w->reg, .port_ips = port_ips, .port_name = port_name};
	struct reg_service service = world_service("web");
	struct reg_node node = *registry_node_find(w->reg, "");
	struct reg_pair meta = {"zone", "a"};
	struct dns *dns;

	node.meta = &meta;
	node.nmeta = 1;
	assert_int_equal(registry_node_put_local(w->reg, &node, &w->err), 0);
	world_add_service(w, &service);
	for (uint16_t port = 1; port < 60; port++)
		world_add_backend(w, "web", "10.1.0.7", port);
	assert_int_equal(dns_open(&config, &dns, &w->err), 0);
	assert_int_equal(dns_listen(dns, "127.0.0.1:0", &w->err), 0);
	return dns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns *dns; /* its cache of answers is all that stays */
	static struct world *w;
	struct dns_query query;
	ldns_pkt *packet = NULL;
	uint8_t *in, *out;
	ssize_t n;
	bool tcp;

	if (size < 1 || size > DNS_QUERY_MAX)
		return 0;
	if (!dns) {
		world_setup((void **)&w);
		dns = start(w);
	}
	tcp = data[0] & 1;
	in = malloc(size);
	out = malloc(tcp ? DNS_TCP_MAX : DNS_UDP_MAX);
	memcpy(in, data + 1, size - 1);
	n = dns_serve(TAILQ_FIRST(&dns->listeners), in, size - 1, tcp, &query, out);
	if (n > 0 && (n > query.size || ldns_wire2pkt(&packet, out, (size_t)n) != LDNS_STATUS_OK))
		abort();
	ldns_pkt_free(packet);
	free(in);
	free(out);
	return 0;
}
