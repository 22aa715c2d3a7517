#include "control/model/network_spec.h"

#include <string.h>

#include "control/base/params.h"
#include "control/host/addr.h"

const char *const network_modes[] = {"bridge", "host", "overlay", "p2p", NULL};
const char *const network_egresses[] = {"host", "none", "masquerade", NULL};

enum { MTU_DEFAULT = 1500, MTU_OVERLAY = 1450, AGE_DEFAULT = 300, MOVES_DEFAULT = 10, PREFIX_MIN = 8 };

static enum dp_mode read_mode(const char *text)
{
	unsigned mode = 0;

	while (network_modes[mode + 1] && strcmp(network_modes[mode], text) != 0)
		mode++;
	return (enum dp_mode)mode;
}

static int read_vni(const json_t *params, struct dp_network *spec, struct api_err *err)
{
	bool overlay = spec->mode == DP_OVERLAY;

	spec->vni = (uint32_t)param_int(params, "vni", 0);
	if (overlay && !spec->vni)
		return api_fail(err, API_INVALID, "vni", "required for mode overlay");
	if (!overlay && spec->vni)
		return api_fail(err, API_INVALID, "vni", "only for mode overlay");
	return 0;
}

static int read_subnet(const json_t *params, struct dp_network *spec, struct api_err *err)
{
	const char *text = param_str(params, "subnet"), *gateway = param_str(params, "gateway");
	struct addr_prefix subnet;

	if (spec->mode == DP_HOST && !gateway)
		return api_fail(
			err, API_INVALID, "gateway", "required for mode host: it is the host's address");
	if (spec->mode == DP_P2P && gateway)
		return api_fail(err, API_INVALID, "gateway",
			"not for mode p2p, which joins two ports and nothing else");
	if (!text)
		return gateway ? api_fail(err, API_INVALID, "gateway", "needs a subnet") : 0;
	if (!addr_prefix(text, &subnet) || subnet.len < PREFIX_MIN)
		return api_fail(err, API_INVALID, "subnet", "\"%s\" has a prefix length outside 8..32", text);
	spec->subnet = subnet.address;
	spec->prefix = subnet.len;
	if (!gateway)
		return 0;
	if (!addr_ip4(gateway, &spec->gateway) || !addr_is_host(subnet, spec->gateway))
		return api_fail(err, API_INVALID, "gateway", "%s is no host address of %s", gateway, text);
	return 0;
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
	return api_fail(
		err, API_INVALID, "egress", "%s is only for mode host: it is the host that forwards", text);
}

int network_spec_read(const json_t *params, struct dp_network *spec, struct api_err *err)
{
	spec->mode = read_mode(param_str(params, "mode"));
	if (read_vni(params, spec, err) < 0 || read_subnet(params, spec, err) < 0)
		return -1;
	spec->mtu = (uint16_t)param_int(params, "mtu", spec->mode == DP_OVERLAY ? MTU_OVERLAY : MTU_DEFAULT);
	spec->age_s = (uint32_t)param_int(params, "age_s", AGE_DEFAULT);
	spec->mac_limit = (uint32_t)param_int(params, "mac_limit", 0);
	spec->mac_moves = (uint8_t)param_int(params, "mac_moves", MOVES_DEFAULT);
	return 0;
}
