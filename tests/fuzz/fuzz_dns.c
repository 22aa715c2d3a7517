/*
 * Messages to the DNS server, by UDP or, when the first byte is odd, by TCP: each is answered by one that can be
 * read, or not at all. Each is asked twice, so that what is kept of the first answer makes the second, and, when the first byte
 * says so, a third time after a change that the answer may depend on.
 */
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

/* What is answered, of which the length is returned; 0: nothing. */
static size_t ask(struct dns *dns, const uint8_t *data, size_t size, bool tcp, uint8_t *out)
{
	struct dns_query query;
	ldns_pkt *packet = NULL;
	uint8_t *in = malloc(size ? size : 1); /* an exact copy, so that a byte too far is noticed */
	ssize_t n;

	memcpy(in, data, size);
	n = dns_serve(TAILQ_FIRST(&dns->listeners), in, size, tcp, &query, out);
	if (n > 0 && (n > query.size || ldns_wire2pkt(&packet, out, (size_t)n) != LDNS_STATUS_OK))
		abort();
	ldns_pkt_free(packet);
	free(in);
	return n > 0 ? (size_t)n : 0;
}

/* The same question has the same answers, if not in the same order: as many, and as long unless they are cut. */
static void compare(const uint8_t *first, size_t nfirst, const uint8_t *second, size_t nsecond)
{
	if (!nfirst != !nsecond)
		abort();
	if (nfirst && memcmp(first, second, 4) != 0)
		abort();
	if (nfirst && !(first[2] & 2) && (nfirst != nsecond || memcmp(first + 4, second + 4, 8) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { BY_TCP = 1, CHANGES = 2 };
	static struct dns *dns; /* its cache of answers is all that stays */
	static struct world *w;
	static uint16_t port = 60;
	uint8_t *out[2];
	size_t n[2];

	if (size < 1 || size > DNS_QUERY_MAX)
		return 0;
	if (!dns) {
		world_setup((void **)&w);
		dns = start(w);
	}
	for (unsigned i = 0; i < 2; i++) {
		out[i] = malloc(data[0] & BY_TCP ? DNS_TCP_MAX : DNS_UDP_MAX);
		n[i] = ask(dns, data + 1, size - 1, data[0] & BY_TCP, out[i]);
	}
	compare(out[0], n[0], out[1], n[1]);
	if (data[0] & CHANGES && port < 200) {
		world_add_backend(w, "web", "10.1.0.7", port++);
		ask(dns, data + 1, size - 1, data[0] & BY_TCP, out[0]);
	}
	free(out[0]);
	free(out[1]);
	return 0;
}
