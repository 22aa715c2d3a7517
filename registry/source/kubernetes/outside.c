/*
 * outside.c: by what other addresses a Service is reached. NodePort: each address of this host, at a port of its own.
 * externalIPs and the addresses of load balancers: at the Service's ports.
 *
 * Who comes from outside may be meant to get other endpoints than pods do (externalTrafficPolicy is not
 * internalTrafficPolicy). Then there is a service of the registry for each: the outer one has the number of the node port,
 * if no port of the Service has that, and else one that is free.
 */
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/source/kubernetes/inside.h"

void kube_outside_free(struct kube_outside *outside)
{
	free(outside->addresses);
	free(outside->from);
	*outside = (struct kube_outside){0};
}

static bool is_door(const struct kube_outside *out, struct ip_addr address)
{
	for (unsigned i = 0; i < out->naddress; i++)
		if (ip_equal(out->addresses[i].address, address))
			return true;
	return false;
}

/* The loopback's and link-local ones are nobody's to lead away (CVE-2020-8554 is about the others, and is the server's). */
static void take_door(struct kube_outside *out, const char *text, bool limited)
{
	struct ip_addr address;

	if (!text || !ip_parse(text, &address) || !ip_is_unicast(address) || ip_is_loopback(address) ||
		ip_is_link_local(address) || is_door(out, address))
		return;
	out->addresses[out->naddress++] = (struct kube_door){address, limited};
}

/* A load balancer that is a proxy itself (ipMode) wants to be asked. */
static bool read_doors(const json_t *object, bool balanced, struct kube_outside *out)
{
	const json_t *ips = json_object_get(json_object_get(object, "spec"), "externalIPs"),
		     *status = json_object_get(json_object_get(object, "status"), "loadBalancer"),
		     *ingress = balanced ? json_object_get(status, "ingress") : NULL, *one;
	size_t i;

	out->addresses = calloc(2 * KUBE_ADDRESSES, sizeof(*out->addresses));
	if (!out->addresses)
		return false;
	json_array_foreach (ips, i, one)
		if (i < KUBE_ADDRESSES)
			take_door(out, json_string_value(one), false);
	json_array_foreach (ingress, i, one) {
		const char *mode = kube_text(one, "ipMode");

		if (i < KUBE_ADDRESSES && (!mode || strcmp(mode, "VIP") == 0))
			take_door(out, kube_text(one, "ip"), out->limited);
	}
	return true;
}

/* Those inside of it are part of it. What is over the limit, or no range, lets nobody in. */
static void take_range(struct kube_outside *out, struct ip_prefix range)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < out->nfrom; i++)
		if (out->from[i].len <= range.len && ip_inside(range.address, out->from[i]))
			return;
	for (unsigned i = 0; i < out->nfrom; i++)
		if (!ip_inside(out->from[i].address, range))
			out->from[kept++] = out->from[i];
	out->nfrom = kept;
	if (out->nfrom < KUBE_RANGES)
		out->from[out->nfrom++] = range;
}

static bool read_ranges(const json_t *spec, struct kube_outside *out)
{
	const json_t *list = json_object_get(spec, "loadBalancerSourceRanges"), *one;
	struct ip_prefix range;
	size_t i;

	out->limited = json_array_size(list) > 0;
	if (!out->limited)
		return true;
	out->from = calloc(KUBE_RANGES, sizeof(*out->from));
	if (!out->from)
		return false;
	json_array_foreach (list, i, one)
		if (kube_prefix(json_string_value(one), &range))
			take_range(out, range);
	return true;
}

static bool is_used(const struct kube_spec *spec, enum reg_protocol protocol, uint16_t port)
{
	for (unsigned i = 0; i < spec->nport; i++)
		if (spec->ports[i].id.protocol == protocol && spec->ports[i].id.port == port)
			return true;
	return false;
}

/* The outer ports, for which the list has room. */
static void add_outer(struct kube_spec *spec)
{
	unsigned n = spec->nport;

	for (unsigned i = 0; i < n; i++) {
		struct kube_port outer = {.id = spec->ports[i].id, .outer = true};

		outer.id.port = spec->ports[i].node_port;
		if (!outer.id.port || is_used(spec, outer.id.protocol, outer.id.port))
			for (outer.id.port = UINT16_MAX; is_used(spec, outer.id.protocol, outer.id.port);)
				outer.id.port--;
		spec->ports[spec->nport++] = outer;
	}
}
static_assert(2 * KUBE_PORTS < UINT16_MAX, "a port is free");

static bool has_node_port(const struct kube_spec *spec)
{
	for (unsigned i = 0; i < spec->nport; i++)
		if (spec->ports[i].node_port)
			return true;
	return false;
}

bool kube_read_outside(const json_t *object, struct kube_spec *spec)
{
	const json_t *of = json_object_get(object, "spec");
	const char *type = kube_text(of, "type"), *policy = kube_text(of, "externalTrafficPolicy");
	bool balanced = type && strcmp(type, "LoadBalancer") == 0;
	struct kube_outside *out = &spec->outside;
	struct kube_port *ports;

	out->local_only = policy && strcmp(policy, "Local") == 0;
	if (balanced && out->local_only)
		out->health_port = kube_number(of, "healthCheckNodePort");
	if (!balanced && !(type && strcmp(type, "NodePort") == 0))
		for (unsigned i = 0; i < spec->nport; i++)
			spec->ports[i].node_port = 0;
	if ((balanced && !read_ranges(of, out)) || !read_doors(object, balanced, out))
		return false;
	if (!out->naddress) {
		free(out->addresses);
		out->addresses = NULL;
	}
	if (out->local_only == spec->local_only || (!out->naddress && !has_node_port(spec)))
		return true;
	ports = realloc(spec->ports, (2 * spec->nport + 1) * sizeof(*ports));
	if (!ports)
		return false;
	spec->ports = ports;
	memset(&ports[spec->nport], 0, spec->nport * sizeof(*ports));
	add_outer(spec);
	return true;
}
