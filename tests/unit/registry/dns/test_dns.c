/* The DNS server: messages of every kind do it no harm, and an answer is kept as long as it holds. */
#include <stdio.h>

#include "registry/dns/inside.h"
#include "tests/unit/registry/world.h"

enum { MUTATIONS = 60000, SEED = 8600 };

struct dns_world {
	struct world *w;
	struct dns *dns;
	struct dns_listener *listener;
};

static size_t port_ips(void *ctx, const char *network, const char *name, struct ip_addr *ips, size_t max)
{
	return 0;
}

static const char *port_name(void *ctx, const char *network, struct ip_addr address)
{
	return NULL;
}

static int setup(void **state)
{
	static struct dns_world d;
	struct dns_config config = {.port_ips = port_ips, .port_name = port_name};

	world_setup((void **)&d.w);
	config.base = d.w->base;
	config.reg = d.w->reg;
	assert_int_equal(dns_open(&config, &d.dns, &d.w->err), 0);
	assert_int_equal(dns_listen(d.dns, "127.0.0.1:0", &d.w->err), 0);
	d.listener = TAILQ_FIRST(&d.dns->listeners);
	*state = &d;
	return 0;
}

static int teardown(void **state)
{
	struct dns_world *d = *state;
	void *w = d->w;

	dns_close(d->dns);
	return world_teardown(&w);
}

/* A query for `name` with EDNS, in `data` of 512 bytes. */
static size_t query_for(const char *name, ldns_rr_type type, uint8_t *data)
{
	ldns_pkt *packet = NULL;
	uint8_t *wire = NULL;
	size_t len = 0;

	assert_int_equal(
		ldns_pkt_query_new_frm_str(&packet, name, type, LDNS_RR_CLASS_IN, LDNS_RD), LDNS_STATUS_OK);
	ldns_pkt_set_id(packet, 0x1234);
	ldns_pkt_set_edns_udp_size(packet, 1232);
	assert_int_equal(ldns_pkt2wire(&wire, packet, &len), LDNS_STATUS_OK);
	memcpy(data, wire, len);
	free(wire);
	ldns_pkt_free(packet);
	return len;
}

/* What is answered to `data`; NULL: nothing. To be freed. */
static ldns_pkt *serve(struct dns_world *d, const uint8_t *data, size_t len, bool tcp)
{
	/* exact copies, so that a byte too far is noticed */
	uint8_t *in = malloc(len ? len : 1), *out = malloc(tcp ? DNS_TCP_MAX : DNS_UDP_MAX);
	struct dns_query query;
	ldns_pkt *packet = NULL;
	ssize_t n;

	memcpy(in, data, len);
	n = dns_serve(d->listener, in, len, tcp, &query, out);
	assert_true(n >= 0 && n <= (tcp ? DNS_TCP_MAX : query.size));
	if (n >= DNS_HEADER && len >= DNS_HEADER) {
		assert_int_equal(ldns_wire2pkt(&packet, out, (size_t)n), LDNS_STATUS_OK);
		assert_int_equal(ldns_pkt_id(packet), ldns_read_uint16(data));
		assert_true(ldns_pkt_qr(packet));
	}
	free(in);
	free(out);
	return packet;
}

static void mutated_messages_do_no_harm(void **state)
{
	static const char *const names[] = {"web.service.consul", "_web._tcp.service.consul", "consul",
		"0a010001.addr.consul", "1.0.1.10.in-addr.arpa", "example.org"};
	static const ldns_rr_type types[] = {
		LDNS_RR_TYPE_A, LDNS_RR_TYPE_SRV, LDNS_RR_TYPE_ANY, LDNS_RR_TYPE_PTR};
	struct dns_world *d = *state;
	unsigned answered = 0;
	uint8_t data[512];

	srandom(SEED);
	world_add_service(d->w, &(struct reg_service){.name = "web", .network = "web", .source = "api"});
	for (uint16_t i = 1; i <= 200; i++)
		world_add_backend(d->w, "web", "10.1.0.9", i);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		size_t len = query_for(names[random() % 6], types[random() % 4], data);

		for (long n = random() % 5; n > 0; n--)
			data[(size_t)random() % len] = (uint8_t)random();
		if (random() % 4 == 0)
			len = (size_t)random() % (len + 1);
		ldns_pkt *packet = serve(d, data, len, random() % 2);

		answered += packet != NULL;
		ldns_pkt_free(packet);
	}
	assert_true(answered > MUTATIONS / 2);
}

static void lone_bytes_do_no_harm(void **state)
{
	struct dns_world *d = *state;
	uint8_t data[512];

	srandom(SEED);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		size_t len = (size_t)random() % sizeof(data);

		for (size_t at = 0; at < len; at++)
			data[at] = (uint8_t)random();
		if (len > DNS_HEADER) { /* far enough to be looked at */
			memset(data + 2, 0, 10);
			data[5] = 1;
			data[11] = (uint8_t)random() & 3;
		}
		ldns_pkt_free(serve(d, data, len, random() % 2));
	}
}

static unsigned count(struct dns_world *d, const char *name, ldns_rr_type type, ldns_pkt_rcode rcode)
{
	uint8_t data[512];
	ldns_pkt *packet = serve(d, data, query_for(name, type, data), true);
	unsigned n = ldns_pkt_ancount(packet);

	assert_int_equal(ldns_pkt_get_rcode(packet), rcode);
	ldns_pkt_free(packet);
	return n;
}

static void an_answer_holds_until_its_service_changes(void **state)
{
	struct dns_world *d = *state;
	struct dns_query query = {.listener = d->listener};
	const struct dns_answer *first;
	uint8_t data[512];
	uint64_t cached;

	assert_int_equal(
		dns_query_read(&query, data, query_for("web.service.consul", LDNS_RR_TYPE_A, data)), 0);
	world_add_service(d->w, &(struct reg_service){.name = "web", .network = "web", .source = "api"});
	world_add_service(d->w, &(struct reg_service){.name = "other", .network = "web", .source = "api"});
	assert_int_equal(count(d, "web.service.consul", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN), 0);
	world_add_backend(d->w, "web", "10.1.0.1", 80);
	world_add_backend(d->w, "other", "10.1.0.2", 80); /* its first instance changes the list of names */
	first = dns_cache_get(d->dns, &query);
	assert_int_equal(first->answer.count, 1);
	cached = dns_info(d->dns).cached;
	world_add_backend(d->w, "other", "10.1.0.1", 80);
	assert_ptr_equal(dns_cache_get(d->dns, &query), first);
	assert_int_equal(dns_info(d->dns).cached, cached + 1);
	assert_int_equal(first->answer.count, 1);
	world_port_changed(d->w, "web", "10.1.0.1", 0);
	assert_int_equal(count(d, "web.service.consul", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN), 0);
	world_port_changed(d->w, "web", "10.1.0.1", 1);
	world_add_backend(d->w, "web", "10.1.0.2", 80);
	assert_int_equal(count(d, "WEB.service.consul", LDNS_RR_TYPE_A, LDNS_RCODE_NOERROR), 2);
	assert_int_equal(count(d, "web.service.consul", LDNS_RR_TYPE_SRV, LDNS_RCODE_NOERROR), 2);
	assert_int_equal(registry_service_del(d->w->reg, "web", &d->w->err), 0);
	assert_int_equal(count(d, "web.service.consul", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN), 0);
}

static void what_does_not_exist_is_not_kept(void **state)
{
	static const char *const forms[] = {"n%u.service.consul", "n%u.node.consul", "n%u.virtual.consul",
		"%08x.addr.consul", "n%u.consul", "%u.0.0.10.in-addr.arpa", "n%u.example.org",
		"n%u.web.service.consul"};
	struct dns_world *d = *state;
	uint8_t data[512];
	char name[64];

	world_add_service(d->w, &(struct reg_service){.name = "web", .network = "web", .source = "api"});
	world_add_backend(d->w, "web", "10.1.0.9", 80);
	for (unsigned i = 0; i < 8000; i++) {
		snprintf(name, sizeof(name), forms[i % 8], i);
		ldns_pkt_free(serve(d, data, query_for(name, LDNS_RR_TYPE_A, data), true));
	}
	assert_int_equal(dns_info(d->dns).kept, 0);
}

static void the_cache_is_bounded_and_keeps_what_is_asked_for_again(void **state)
{
	enum { SERVICES = 20000 };
	struct dns_world *d = *state;
	char name[64];

	registry_batch_begin(d->w->reg);
	for (unsigned i = 0; i < SERVICES; i++) {
		struct reg_service def = {.network = "web", .source = "api"};

		snprintf(def.name, sizeof(def.name), "n%u", i);
		world_add_service(d->w, &def);
		world_add_backend(d->w, def.name, "10.1.0.9", 80);
	}
	registry_batch_end(d->w->reg);
	for (unsigned i = 0; i < SERVICES; i++) {
		if (i % 1000 == 0) {
			assert_int_equal(
				count(d, "n0.service.consul", LDNS_RR_TYPE_A, LDNS_RCODE_NOERROR), 1);
			assert_int_equal(dns_info(d->dns).cached, i / 1000);
		}
		snprintf(name, sizeof(name), "n%u.service.consul", i);
		assert_int_equal(count(d, name, LDNS_RR_TYPE_TXT, LDNS_RCODE_NOERROR), 0);
		assert_true(dns_info(d->dns).kept <= 16384);
	}
	assert_true(dns_info(d->dns).kept > 8192 && dns_info(d->dns).kept_bytes < 32 << 20);
}

/* Of so many instances that all of their records are more than a message, and than 64 KB. */
static void an_answer_of_many_records_can_be_read(void **state)
{
	struct dns_world *d = *state;
	uint8_t data[512];

	world_add_service(d->w, &(struct reg_service){.name = "web", .network = "web", .source = "api"});
	for (uint16_t port = 1; port <= 3000; port++)
		world_add_backend(d->w, "web", "10.1.0.9", port);
	for (unsigned i = 0; i < 20; i++) { /* each begins at another record */
		ldns_pkt *packet =
			serve(d, data, query_for("web.service.consul", LDNS_RR_TYPE_SRV, data), i % 2);
		const ldns_rr_list *list = ldns_pkt_answer(packet);

		assert_true(ldns_pkt_tc(packet));
		assert_in_range(ldns_rr_list_rr_count(list), i % 2 ? 1400 : 20, i % 2 ? 1700 : 40);
		for (size_t n = 0; n < ldns_rr_list_rr_count(list); n++)
			assert_int_equal(ldns_rr_get_type(ldns_rr_list_rr(list, n)), LDNS_RR_TYPE_SRV);
		ldns_pkt_free(packet);
	}
}

/* Types that nothing here has are one answer. */
static void other_types_share_an_answer(void **state)
{
	struct dns_world *d = *state;

	world_add_service(d->w, &(struct reg_service){.name = "web", .network = "web", .source = "api"});
	world_add_backend(d->w, "web", "10.1.0.9", 80);
	for (unsigned type = 512; type < 1536; type++)
		assert_int_equal(count(d, "web.service.consul", (ldns_rr_type)type, LDNS_RCODE_NOERROR), 0);
	assert_int_equal(dns_info(d->dns).kept, 1);
	assert_int_equal(dns_info(d->dns).cached, 1023);
}

static const char *const asked[] = {"a.service.consul", "b.service.consul", "cc.service.consul",
	"_a._tcp.service.consul", "a.virtual.consul", "b.virtual.consul", "n1.node.consul", "n2.node.consul",
	"consul", "1.0.1.10.in-addr.arpa", "2.0.1.10.in-addr.arpa", "a", "b.web", "cc"};
enum { ASKED = sizeof(asked) / sizeof(asked[0]), CHANGES = 4000 };

/* Anything that names or answers depend on; what it is of need not be there. */
static void change(struct dns_world *d)
{
	static const char *const services[] = {"a", "b", "Cc"}, *const nodes[] = {"n1", "N2"};
	const char *service = services[random() % 3], *address = random() % 2 ? "10.1.0.1" : "10.1.0.2";
	struct reg_service def = {.network = "web", .source = "api", .port = 80, .protocol = 6};
	struct reg_node node = {.source = "catalog"};
	struct registry *reg = d->w->reg;

	snprintf(def.name, sizeof(def.name), "%s", service);
	snprintf(node.name, sizeof(node.name), "%s", nodes[random() % 2]);
	snprintf(node.address, sizeof(node.address), "%s", address);
	switch (random() % 7) {
	case 0:
		registry_service_add(reg, &def, &d->w->err);
		break;
	case 1:
		registry_service_del(reg, service, &d->w->err);
		break;
	case 2:
		if (registry_service_find(reg, service))
			world_add_backend(d->w, service, address, (uint16_t)(1 + random() % 60000));
		break;
	case 3:
		world_port_changed(d->w, "web", address, random() % 2);
		break;
	case 4:
		registry_node_put(reg, &node, &d->w->err);
		break;
	case 5:
		registry_node_del(reg, node.name, &d->w->err);
		break;
	default:
		dns_ports_changed(d->dns);
	}
}

static void assert_same(const struct dns_answer *kept, const struct dns_answer *made, const char *name)
{
	if (kept->rcode == made->rcode && kept->answer.count == made->answer.count &&
		kept->extra.count == made->extra.count &&
		(!made->answer.count ||
			(kept->ndata == made->ndata && memcmp(kept->data, made->data, made->ndata) == 0)))
		return;
	fail_msg("%s: kept: code %u, %zu answers; made anew: code %u, %zu answers", name, kept->rcode,
		kept->answer.count, made->rcode, made->answer.count);
}

/* What two servers say after each change, of which one begins with nothing. The serial number of a SOA may differ. */
static void no_kept_answer_is_stale(void **state)
{
	static const ldns_rr_type types[] = {
		LDNS_RR_TYPE_A, LDNS_RR_TYPE_SRV, LDNS_RR_TYPE_ANY, LDNS_RR_TYPE_AAAA};
	struct dns_world *d = *state;
	struct dns_listener *inside;
	struct dns_config config = {
		.base = d->w->base, .reg = d->w->reg, .port_ips = port_ips, .port_name = port_name};
	struct dns *fresh = NULL;

	snprintf(d->listener->network, sizeof(d->listener->network), "web");
	srandom(SEED);
	for (unsigned i = 0; i < CHANGES; i++) {
		change(d);
		assert_int_equal(dns_open(&config, &fresh, &d->w->err), 0);
		assert_int_equal(dns_listen(fresh, "127.0.0.1:0", &d->w->err), 0);
		inside = TAILQ_FIRST(&fresh->listeners);
		snprintf(inside->network, sizeof(inside->network), "web");
		for (unsigned n = 0; n < ASKED; n++) {
			struct dns_query one = {.listener = d->listener}, other = {.listener = inside};
			uint8_t data[512];
			size_t len = query_for(asked[n], types[random() % 4], data);

			assert_int_equal(dns_query_read(&one, data, len), 0);
			assert_int_equal(dns_query_read(&other, data, len), 0);
			assert_same(dns_cache_get(d->dns, &one), dns_cache_get(fresh, &other), asked[n]);
		}
		dns_close(fresh);
	}
	assert_true(dns_info(d->dns).cached > CHANGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mutated_messages_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(lone_bytes_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_holds_until_its_service_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_does_not_exist_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_cache_is_bounded_and_keeps_what_is_asked_for_again, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_of_many_records_can_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(other_types_share_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(no_kept_answer_is_stale, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
