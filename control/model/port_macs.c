#include "control/model/port_macs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/base/result.h"

enum { LIMIT_DEFAULT = 4096 };

const char *const port_macs_actions[] = {
	[DP_MAC_DROP] = "drop", [DP_MAC_FLOOD] = "flood", [DP_MAC_STICKY] = "sticky", NULL};

void port_macs_default(struct dp_port *spec)
{
	spec->mac_limit = LIMIT_DEFAULT;
	spec->mac_action = DP_MAC_DROP;
}

void port_macs_read(const json_t *params, struct dp_port *spec)
{
	const char *action = param_str(params, "mac_action");

	spec->mac_limit = (uint32_t)param_int(params, "mac_limit", spec->mac_limit);
	for (unsigned i = 0; action && port_macs_actions[i]; i++)
		if (strcmp(port_macs_actions[i], action) == 0)
			spec->mac_action = (enum dp_mac_action)i;
}

void port_macs_json(const struct dp_port *spec, const struct dp_port_info *info, json_t *object)
{
	put_int(object, "mac_limit", spec->mac_limit);
	put_str(object, "mac_action", port_macs_actions[spec->mac_action]);
	put_int(object, "macs", info->macs);
	put_int(object, "mac_limit_drops", info->mac_limit_drops);
	put_int(object, "unlearned", info->unlearned);
	put_int(object, "punts_left_out", info->punts_left_out);
}

enum { LOCATION_TEXT = MODEL_NAME + 8 };

static const char *location_text(struct model *model, struct dp_location at, char text[LOCATION_TEXT])
{
	const struct model_vtep *vtep = at.vtep == UINT16_MAX ? NULL : model->vtep_by_id[at.vtep];
	const char *port = at.port == UINT16_MAX ? NULL : model_port_name(model, at.port);
	char ip[IP_TEXT];

	if (vtep)
		snprintf(text, LOCATION_TEXT, "vtep %s", ip_text(vtep->remote, ip));
	else
		snprintf(text, LOCATION_TEXT, "port %s", port ? port : "that is gone");
	return text;
}

void port_macs_moved(void *arg, const struct dp_move *move)
{
	static const char *const held[] = {[DP_MOVE_HELD] = "moves too often",
		[DP_MOVE_STICKY] = "is of a sticky port",
		[DP_MOVE_OWNED] = "is the port's own"};
	struct model *model = arg;
	const struct model_network *network = model->network_by_id[move->net];
	char subject[MODEL_NAME + 16], mac[ADDR_MAC_TEXT], from[LOCATION_TEXT], to[LOCATION_TEXT],
		more[48] = "";

	if (!network)
		return;
	if (model->tell_move)
		model->tell_move(model, move);
	snprintf(subject, sizeof(subject), "MACs of %s", network->name);
	if (move->left_out)
		snprintf(more, sizeof(more), " (and %" PRIu64 " moves more)", move->left_out);
	location_text(model, move->from, from);
	location_text(model, move->to, to);
	addr_mac_text(move->mac, mac);
	if (move->what != DP_MOVED)
		log_subject(LOG_WARNING, subject, "network %s: %s %s, stays at %s, was seen at %s%s",
			network->name, mac, held[move->what], from, to, more);
	else
		log_subject(LOG_INFO, subject, "network %s: %s moved from %s to %s%s", network->name, mac,
			from, to, more);
}
