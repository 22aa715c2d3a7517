#include "control/methods/fdb_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/fdb.h"
#include "control/model/objects.h"

struct fdb_watch {
	LIST_ENTRY(fdb_watch) link;
	char network[MODEL_NAME]; /* "": all */
	const struct api_watcher *by;
	void *arg;
};

static bool may_tell(struct model_network *network)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (network->moves_reported.second != now.tv_sec) {
		network->moves_reported.second = now.tv_sec;
		network->moves_reported.count = 0;
	}
	if (network->moves_reported.count++ < FDB_WATCH_RATE)
		return true;
	network->moves_reported.left_out++;
	return false;
}

static json_t *move_json(struct model *model, struct model_network *network, const struct dp_move *move)
{
	static const char *const what[] = {[DP_MOVED] = "moved",
		[DP_MOVE_HELD] = "held",
		[DP_MOVE_STICKY] = "sticky",
		[DP_MOVE_OWNED] = "owned"};
	json_t *object = json_object();
	char mac[ADDR_MAC_TEXT];

	put_str(object, "network", network->name);
	put_str(object, "mac", addr_mac_text(move->mac, mac));
	put_str(object, "what", what[move->what]);
	fdb_put_location(model, object, "from_port", "from_vtep", move->from);
	fdb_put_location(model, object, "to_port", "to_vtep", move->to);
	put_int(object, "left_out", (int64_t)(network->moves_reported.left_out + move->left_out));
	return object;
}

static void tell(struct model *model, const struct dp_move *move)
{
	struct model_network *network = model->network_by_id[move->net];
	struct fdb_watch *watch;
	json_t *object;

	if (!network || LIST_EMPTY(&model->fdb_watches))
		return;
	if (!may_tell(network)) {
		network->moves_reported.left_out += move->left_out;
		return;
	}
	object = move_json(model, network, move);
	network->moves_reported.left_out = 0;
	LIST_FOREACH (watch, &model->fdb_watches, link)
		if (!watch->network[0] || !strcmp(watch->network, network->name))
			watch->by->changed(watch->arg, "fdb.moved", json_incref(object));
	json_decref(object);
}

static int watch_open(struct model *model, const json_t *params, const struct api_watcher *by, void *arg,
	void **out, struct api_err *err)
{
	const char *network = param_str(params, "network");
	struct fdb_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	watch->by = by;
	watch->arg = arg;
	if (network)
		snprintf(watch->network, sizeof(watch->network), "%s", network);
	LIST_INSERT_HEAD(&model->fdb_watches, watch, link);
	model->tell_move = tell;
	*out = watch;
	return 0;
}

static void watch_close(void *arg)
{
	struct fdb_watch *watch = arg;

	LIST_REMOVE(watch, link);
	free(watch);
}

const struct api_watch fdb_watch_type = {.open = watch_open, .close = watch_close};
