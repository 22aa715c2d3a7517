#include "control/model/peer.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/model/objects.h"

enum { LOOK_MS = 1000, MS_DEFAULT = 100, MULTIPLIER_DEFAULT = 3 };

/* An address that is down because its host is. */
struct lost {
	UT_hash_handle hh;
	struct lost_key {
		uint64_t network; /* the dataplane's id */
		struct ip_addr address;
	} key;
	struct model_vtep *vtep;
};

struct model_peers {
	struct lost *lost;
	struct event *timer; /* while there are any: have they moved? */
	void (*fn)(void *arg, const struct dp_peer *peer);
	void *arg;
};

static struct lost *find(struct model *model, const struct model_network *network, struct ip_addr address)
{
	struct lost_key key = {network->id, address};
	struct lost *lost;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the key has no padding */
	HASH_FIND(hh, model->peers->lost, &key, sizeof(key), lost);
	return lost;
}

bool peer_has_lost(struct model *model, const struct model_network *network, struct ip_addr address)
{
	return model->peers && find(model, network, address);
}

static void tell(struct model *model, const struct model_network *network, struct ip_addr address, int state)
{
	registry_port_changed(model->registry, network->name, address, state);
}

static void release(struct model *model, struct lost *lost)
{
	const struct model_network *network = lost->vtep->network;
	struct ip_addr address = lost->key.address;

	HASH_DEL(model->peers->lost, lost);
	free(lost);
	/* a port that has it by now has said how it is */
	if (!model_port_of_ip(model, network, address))
		tell(model, network, address, 1);
}

static void look_later(struct model *model)
{
	struct timeval when = {.tv_sec = LOOK_MS / 1000, .tv_usec = LOOK_MS % 1000 * 1000L};

	if (model->peers->lost && !evtimer_pending(model->peers->timer, NULL))
		evtimer_add(model->peers->timer, &when);
}

/* Has somebody else the address now: a port here, or a vtep of another host? */
static bool has_moved(struct model *model, const struct lost *lost)
{
	struct dp_peer peer;
	uint16_t vtep;

	if (model_port_of_ip(model, lost->vtep->network, lost->key.address))
		return true;
	if (dp_vtep_of(model->dp, lost->vtep->network->id, lost->key.address, &vtep) ||
		vtep == lost->vtep->id)
		return false;
	return !model->vtep_by_id[vtep] || dp_peer_info(model->dp, model->vtep_by_id[vtep]->remote, &peer) ||
	       !peer.cut;
}

static void release_some(struct model *model, const struct model_vtep *vtep, bool moved)
{
	struct lost *lost, *next;

	registry_batch_begin(model->registry);
	for (lost = model->peers->lost; lost; lost = next) {
		next = lost->hh.next;
		if ((!vtep || lost->vtep == vtep) && (!moved || has_moved(model, lost)))
			release(model, lost);
	}
	registry_batch_end(model->registry);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct model *model = arg;

	release_some(model, NULL, true);
	look_later(model);
}

void peer_forget(struct model *model, const struct model_vtep *vtep)
{
	release_some(model, vtep, false);
}

struct losing {
	struct model *model;
	struct model_vtep *vtep;
};

/* Without memory the address stays as it is, and what is sent to it is dropped. */
static void lose(void *arg, struct ip_addr address)
{
	const struct losing *losing = arg;
	struct model *model = losing->model;
	struct lost *lost;

	if (find(model, losing->vtep->network, address) ||
		model_port_of_ip(model, losing->vtep->network, address))
		return;
	lost = calloc(1, sizeof(*lost));
	if (!lost)
		return;
	lost->key = (struct lost_key){losing->vtep->network->id, address};
	lost->vtep = losing->vtep;
	HASH_ADD(hh, model->peers->lost, key, sizeof(lost->key), lost);
	if (!lost->hh.tbl) {
		free(lost);
		return;
	}
	tell(model, losing->vtep->network, address, 0);
}

static void follow(struct model *model, const struct dp_peer *peer)
{
	struct model_vtep *vtep;

	registry_batch_begin(model->registry);
	TAILQ_FOREACH (vtep, &model->vteps, link) {
		struct losing losing = {model, vtep};

		if (!ip_equal(vtep->remote, peer->remote))
			continue;
		if (peer->cut)
			dp_vtep_walk(model->dp, vtep->id, lose, &losing);
		else
			release_some(model, vtep, false);
	}
	registry_batch_end(model->registry);
	look_later(model);
}

void peer_settle(struct model *model, struct ip_addr remote)
{
	struct model_vtep *vtep;
	struct dp_peer peer;

	if (dp_peer_info(model->dp, remote, &peer) == 0)
		return;
	TAILQ_FOREACH (vtep, &model->vteps, link)
		if (ip_equal(vtep->remote, remote))
			release_some(model, vtep, false);
}

const struct api_field peer_fields[] = {
	{"interval_ms", API_INT, "between two packets, 10 at least, or 0: not watched (default 100)",
		.max = DP_BFD_MS_MAX},
	{"multiplier", API_INT, "packets in a row that are lost when the host is dead (default 3)", .min = 1,
		.max = 255},
	{NULL},
};

int peer_read(const json_t *params, uint32_t *interval_ms, uint8_t *multiplier, struct api_err *err)
{
	const json_t *bfd = json_object_get(params, "bfd");
	int64_t ms = param_int(bfd, "interval_ms", *interval_ms ? *interval_ms : MS_DEFAULT);

	if (!bfd)
		return 0;
	if (ms && ms < DP_BFD_MS_MIN)
		return api_fail(err, API_INVALID, "bfd.interval_ms", "out of range %d..%d, and not 0",
			DP_BFD_MS_MIN, DP_BFD_MS_MAX);
	*interval_ms = (uint32_t)ms;
	*multiplier = (uint8_t)param_int(bfd, "multiplier", *multiplier ? *multiplier : MULTIPLIER_DEFAULT);
	return 0;
}

static void write_log(const struct dp_peer *peer)
{
	char subject[IP_TEXT + 8], remote[IP_TEXT];

	snprintf(subject, sizeof(subject), "peer %s", ip_text(peer->remote, remote));
	if (peer->up)
		log_subject(LOG_INFO, subject, "%s is up (BFD)", subject);
	else if (peer->lost)
		log_subject(LOG_WARNING, subject, "%s is %s%s%s (BFD)%s", subject, peer->state,
			*peer->why ? ": " : "", peer->why, peer->cut ? "" : "; too many are, and it is held");
	else
		log_subject(LOG_INFO, subject, "%s is %s (BFD)", subject, peer->state);
}

void peer_changed(void *ctx, const struct dp_peer *peer)
{
	struct model *model = ctx;

	if (!model->peers || !model->registry)
		return;
	write_log(peer);
	follow(model, peer);
	if (model->peers->fn)
		model->peers->fn(model->peers->arg, peer);
}

void peer_listen(struct model *model, void (*fn)(void *arg, const struct dp_peer *peer), void *arg)
{
	model->peers->fn = fn;
	model->peers->arg = arg;
}

int peer_open(struct model *model, struct event_base *base)
{
	model->peers = calloc(1, sizeof(*model->peers));
	if (!model->peers)
		return -ENOMEM;
	model->peers->timer = evtimer_new(base, on_timer, model);
	return model->peers->timer ? 0 : -ENOMEM;
}

void peer_close(struct model *model)
{
	struct lost *lost, *next;

	if (!model->peers)
		return;
	lost = model->peers->lost;
	HASH_CLEAR(hh, model->peers->lost);
	for (; lost; lost = next) {
		next = lost->hh.next;
		free(lost);
	}
	if (model->peers->timer)
		event_free(model->peers->timer);
	free(model->peers);
	model->peers = NULL;
}
