/*
 * target.c: what a check that starts in the host may reach. Whoever may register says where a probe goes, and the
 * host reaches what he does not: its own services behind the loopback, the metadata of a cloud at 169.254.169.254 or fd00:ec2::254. So
 * probes from the host go to no address of the host itself and to no link-local one, unless control.check_targets
 * allows it, and tell nothing of what an answer holds. Probes inside networks start in the namespace of a gateway, which
 * has nothing but the network's own subnet.
 */

#include "registry/check/check.h"

/* A network of mode host has its gateway in the host. */
static bool starts_in_host(const struct check *check, const char *network)
{
	const struct registry_sink *sink = check->all->sink;

	return !network[0] ||
	       (sink->netns_id && sink->netns_id(sink->ctx, network) == sink->netns_id(sink->ctx, ""));
}

static bool is_allowed(const struct checks *all, struct ip_addr address)
{
	for (size_t i = 0; i < all->ntarget; i++)
		if (ip_inside(address, all->targets[i]))
			return true;
	return false;
}

/* Connections to :: and to 0.0.0.0/8 stay in the host. */
static bool goes_to_loopback(struct ip_addr address)
{
	return ip_is_none(address) || (ip_is4(address) && address.b[12] == 0);
}

/* The IPv4 address that a translator beside the host would send to for this one (RFC 6052, section 2.1), none: it is no
 * such address. */
static struct ip_addr translated(struct ip_addr address)
{
	static const struct ip_prefix well_known = {{.b = {0x00, 0x64, 0xff, 0x9b}}, 96};

	return ip_inside(address, well_known) ? ip_from4(address.w[3]) : (struct ip_addr){0};
}

/* Where clouds serve their metadata by IPv6: what 169.254.169.254 is by IPv4, but not link-local. */
static bool is_metadata(struct ip_addr address)
{
	static const struct ip_addr known[] = {
		{.b = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}}, /* Amazon */
		{.b = {0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}}, /* Google */
		{.b = {0xfd, 0x00, 0x00,
			 0xc1, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe}}, /* Oracle */
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (ip_equal(address, known[i]))
			return true;
	return false;
}

/* What the address is, NULL: one that anybody may have probed. */
static const char *what_is(const struct checks *all, struct ip_addr address)
{
	const struct registry_sink *sink = all->sink;
	struct ip_addr inner = translated(address);

	if (!ip_is_none(inner))
		address = inner;
	if (ip_is_loopback(address) || goes_to_loopback(address))
		return "of the loopback";
	if (ip_is_link_local(address))
		return "link-local";
	if (is_metadata(address))
		return "a cloud's own";
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
