/*
 * target.c: what a check that starts in the host may reach. Whoever may register says where a probe goes, and the
 * host reaches what he does not: its own services behind the loopback, the metadata of a cloud at 169.254.169.254. So
 * probes from the host go to no address of the host itself and to no link-local one, unless control.check_targets
 * allows it, and tell nothing of what an answer holds. Probes inside networks start in the namespace of a gateway, which
 * has nothing but the network's own subnet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/check/check.h"

/* A network of mode host has its gateway in the host. */
static bool starts_in_host(const struct check *check, const char *network)
{
	const struct registry_sink *sink = check->all->sink;

	return !network[0] ||
	       (sink->netns_id && sink->netns_id(sink->ctx, network) == sink->netns_id(sink->ctx, ""));
}

static bool is_inside(uint32_t address, const struct reg_prefix *prefix)
{
	uint32_t mask = prefix->len ? ~UINT32_C(0) << (32 - prefix->len) : 0;

	return ((ntohl(address) ^ ntohl(prefix->address)) & mask) == 0;
}

static bool is_allowed(const struct checks *all, uint32_t address)
{
	for (size_t i = 0; i < all->ntarget; i++)
		if (is_inside(address, &all->targets[i]))
			return true;
	return false;
}

/* What the address is, NULL: one that anybody may have probed. */
static const char *what_is(const struct checks *all, uint32_t address)
{
	const struct registry_sink *sink = all->sink;
	uint32_t host = ntohl(address);

	if (host >> 24 == 127 || host >> 24 == 0) /* 0.0.0.0 goes to the loopback, too */
		return "of the loopback";
	if (host >> 16 == 0xa9fe)
		return "link-local";
	if (sink->is_own && sink->is_own(sink->ctx, address))
		return "this host's own";
	return NULL;
}

const char *check_forbidden(const struct check *check, const char *network)
{
	if (!starts_in_host(check, network) || is_allowed(check->all, check->target.address))
		return NULL;
	return what_is(check->all, check->target.address);
}

bool check_tells_body(struct check *check)
{
	const char *network = check_network(check);

	return check->all->bodies || (network && !starts_in_host(check, network));
}
