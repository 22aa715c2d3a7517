#include "control/model/network_spec.h"

#include <string.h>

#include "control/base/params.h"
#include "control/host/addr.h"

const char *const network_modes[] = {"bridge", "host", "overlay", "p2p", NULL};
const char *const network_egresses[] = {"host", "none", "masquerade", NULL};

enum {
	MTU_DEFAULT = 1500,
	MTU_OVERLAY = 1450,
	MTU_IP6 = 1280, /* (RFC 8200, 5) */
	AGE_DEFAULT = 300,
	MOVES_DEFAULT = 10,
	PREFIX_MIN = 8,
	PREFIX_MIN6 = 16,
};

static enum dp_mode read_mode(const char *text)
{
	unsigned mode = 0;

	while (network_modes[mode + 1] && strcmp(network_modes[mode], text) != 0)
		mode++;
	return (enum dp_mode)mode;
}

static int read_vni(const json_t *params, struct dp_network *spec, struct api_err *err)
{
	spec->vni = (uint32_t)param_int(params, "vni", 0);
	if (spec->mode == DP_OVERLAY && !spec->vni)
		return api_fail(err, API_INVALID, "vni", "required for mode overlay");
	if (spec->mode != DP_OVERLAY && spec->mode != DP_HOST && spec->vni)
		return api_fail(err, API_INVALID, "vni", "only for modes overlay and host");
	return 0;
}

struct ip_prefix network_spec_subnet(const struct dp_network *spec, bool ip6)
{
	if (ip6 || !spec->subnet)
		return ip6 ? spec->subnet6 : (struct ip_prefix){.len = 0};
	return (struct ip_prefix){ip_from4(spec->subnet), (uint8_t)(IP_PREFIX4 + spec->prefix)};
}

struct ip_addr network_spec_gateway(const struct dp_network *spec, bool ip6)
{
	if (ip6 || !spec->gateway)
		return ip6 ? spec->gateway6 : (struct ip_addr){0};
	return ip_from4(spec->gateway);
}

int network_spec_check_ip(const struct dp_network *spec, const char *name, struct ip_addr ip,
	const char *field, const char *text, struct api_err *err)
{
	struct ip_prefix subnet = network_spec_subnet(spec, !ip_is4(ip)),
			 other = network_spec_subnet(spec, ip_is4(ip));
	char prefix[ADDR_IP_PREFIX_TEXT];

	if (ip_is_none(subnet.address) && ip_is_none(other.address))
		return api_fail(err, API_INVALID, field, "network %s has no subnet", name);
	if (ip_is_none(subnet.address))
		return api_fail(err, API_INVALID, field, "%s: network %s has no subnet of IPv%d", text, name,
			ip_is4(ip) ? 4 : 6);
	if (!addr_is_host_of(subnet, ip))
		return api_fail(err, API_INVALID, field, "%s is no host address of %s", text,
			addr_ip_prefix_text(subnet, prefix));
	return 0;
}

int network_spec_check_mtu(const struct dp_network *spec, unsigned mtu, struct api_err *err)
{
	char prefix[ADDR_IP_PREFIX_TEXT];

	if (ip_is_none(spec->subnet6.address) || mtu >= MTU_IP6)
		return 0;
	return api_fail(err, API_INVALID, "mtu", "%u is less than the %d that IPv6 needs, for %s", mtu,
		MTU_IP6, addr_ip_prefix_text(spec->subnet6, prefix));
}

/* Where hosts may be, and at most one of each family. */
static int take_subnet(struct dp_network *spec, const char *field, const char *text, struct api_err *err)
{
	struct ip_prefix subnet;
	bool ip6;

	if (!addr_ip_prefix(text, &subnet))
		return api_fail(err, API_INVALID, field, "\"%s\" is no prefix", text);
	ip6 = !ip_is4(subnet.address);
	if (!ip_is_none(network_spec_subnet(spec, ip6).address))
		return api_fail(
			err, API_INVALID, field, "%s: a network has one subnet of IPv%d", text, ip6 ? 6 : 4);
	if (!ip6 && subnet.len < IP_PREFIX4 + PREFIX_MIN)
		return api_fail(err, API_INVALID, field, "\"%s\" has a prefix length outside %d..32", text,
			PREFIX_MIN);
	if (ip6 && subnet.len < PREFIX_MIN6)
		return api_fail(err, API_INVALID, field, "\"%s\" has a prefix length outside %d..128", text,
			PREFIX_MIN6);
	if (ip6 && (!ip_is_unicast(subnet.address) || ip_is_link_local(subnet.address) ||
			   ip_is_loopback(subnet.address)))
		return api_fail(
			err, API_INVALID, field, "%s is no prefix of addresses that hosts have", text);
	if (ip6) {
		spec->subnet6 = subnet;
	} else {
		spec->subnet = ip_to4(subnet.address);
		spec->prefix = subnet.len - IP_PREFIX4;
	}
	return 0;
}

static int take_gateway(struct dp_network *spec, const char *field, const char *text, struct api_err *err)
{
	struct ip_addr ip = {0};
	struct ip_prefix subnet;
	char prefix[ADDR_IP_PREFIX_TEXT];

	ip_parse(text, &ip);
	subnet = network_spec_subnet(spec, !ip_is4(ip));
	if (ip_is_none(subnet.address))
		return api_fail(
			err, API_INVALID, field, "%s needs a subnet of IPv%d", text, ip_is4(ip) ? 4 : 6);
	if (!ip_is_none(network_spec_gateway(spec, !ip_is4(ip))))
		return api_fail(err, API_INVALID, field, "%s: a network has one gateway of IPv%d", text,
			ip_is4(ip) ? 4 : 6);
	if (!addr_is_host_of(subnet, ip))
		return api_fail(err, API_INVALID, field, "%s is no host address of %s", text,
			addr_ip_prefix_text(subnet, prefix));
	if (ip_is4(ip))
		spec->gateway = ip_to4(ip);
	else
		spec->gateway6 = ip;
	return 0;
}

/* One of them by `one`, or some by `many`. */
static int take_each(const json_t *params, const char *one, const char *many, struct dp_network *spec,
	int (*take)(struct dp_network *spec, const char *field, const char *text, struct api_err *err),
	struct api_err *err)
{
	const json_t *list = json_object_get(params, many);

	if (param_given(params, one) && json_array_size(list))
		return api_fail(err, API_INVALID, many, "instead of %s, not beside it", one);
	if (param_given(params, one))
		return take(spec, one, param_str(params, one), err);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (take(spec, many, json_string_value(json_array_get(list, i)), err) < 0)
			return -1;
	return 0;
}

static int read_subnet(const json_t *params, struct dp_network *spec, struct api_err *err)
{
	bool gateway = param_given(params, "gateway") || json_array_size(json_object_get(params, "gateways"));

	if (spec->mode == DP_HOST && !gateway)
		return api_fail(
			err, API_INVALID, "gateway", "required for mode host: it is the host's address");
	if (spec->mode == DP_P2P && gateway)
		return api_fail(err, API_INVALID, "gateway",
			"not for mode p2p, which joins two ports and nothing else");
	if (take_each(params, "subnet", "subnets", spec, take_subnet, err) < 0)
		return -1;
	if (gateway && !spec->subnet && ip_is_none(spec->subnet6.address))
		return api_fail(err, API_INVALID, "gateway", "needs a subnet");
	return take_each(params, "gateway", "gateways", spec, take_gateway, err);
}

bool network_spec_lets_in(const struct dp_network *spec, bool ip6)
{
	return !ip_is_none(network_spec_subnet(spec, ip6).address) &&
	       !ip_is_none(network_spec_gateway(spec, ip6)) && spec->mode != DP_P2P;
}

int network_egress_read(
	const json_t *params, const struct dp_network *spec, enum egress *egress, struct api_err *err)
{
	const char *text = param_str(params, "egress");

	for (unsigned i = 0; text && i < EGRESS_COUNT; i++)
		if (strcmp(text, network_egresses[i]) == 0)
			*egress = (enum egress)i;
	if (spec->mode == DP_HOST || *egress == EGRESS_NONE)
		return 0;
	if (*egress == EGRESS_HOST || spec->mode == DP_P2P)
		return api_fail(
			err, API_INVALID, "egress", "%s is not for mode %s", text, network_modes[spec->mode]);
	if (!spec->gateway && ip_is_none(spec->gateway6))
		return api_fail(err, API_INVALID, "egress",
			"masquerade needs a subnet and a gateway, to which guests send what leaves");
	return 0;
}

static int take_range(
	const struct dp_network *spec, const char *text, struct ip_prefix ranges[2], struct api_err *err)
{
	struct ip_prefix range, subnet;
	bool ip6;

	if (!addr_ip_prefix(text, &range))
		return api_fail(err, API_INVALID, "ranges", "\"%s\" is no prefix", text);
	ip6 = !ip_is4(range.address);
	subnet = network_spec_subnet(spec, ip6);
	if (!ip_is_none(ranges[ip6].address))
		return api_fail(
			err, API_INVALID, "ranges", "%s: there is one range of IPv%d", text, ip6 ? 6 : 4);
	if (!ip_prefix_within(range, subnet))
		return api_fail(err, API_INVALID, "ranges", "%s is no part of a subnet", text);
	ranges[ip6] = range;
	return 0;
}

int network_ranges_read(
	const json_t *params, const struct dp_network *spec, struct ip_prefix ranges[2], struct api_err *err)
{
	const json_t *list = json_object_get(params, "ranges");

	memset(ranges, 0, 2 * sizeof(ranges[0]));
	for (size_t i = 0; i < json_array_size(list); i++)
		if (take_range(spec, json_string_value(json_array_get(list, i)), ranges, err) < 0)
			return -1;
	return 0;
}

int network_spec_read(const json_t *params, struct dp_network *spec, struct api_err *err)
{
	spec->mode = read_mode(param_str(params, "mode"));
	if (read_vni(params, spec, err) < 0 || read_subnet(params, spec, err) < 0)
		return -1;
	spec->mtu = (uint16_t)param_int(params, "mtu", spec->vni ? MTU_OVERLAY : MTU_DEFAULT);
	if (network_spec_check_mtu(spec, spec->mtu, err) < 0)
		return -1;
	spec->age_s = (uint32_t)param_int(params, "age_s", AGE_DEFAULT);
	spec->mac_limit = (uint32_t)param_int(params, "mac_limit", 0);
	spec->mac_moves = (uint8_t)param_int(params, "mac_moves", MOVES_DEFAULT);
	return 0;
}
