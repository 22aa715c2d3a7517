/*
 * peer.h: other hosts that BFD watches (dataplane/bfd/bfd.h), and what is behind them. When one is cut, backends whose
 * address was last heard of behind a vtep there are down at once, as those of a port whose link goes; they are up again
 * with it, or when their address is heard of elsewhere. Control thread.
 */
#pragma once

#include <stdbool.h>

#include "addr/ip.h"
#include "control/api/api.h"

struct dp_peer;
struct event_base;
struct model;
struct model_network;
struct model_vtep;

/* clang-format off */
#define PEER_FIELD \
	{"bfd", API_OBJECT, "watch the host at the remote address by BFD, and send it nothing while it is dead", \
		.fields = peer_fields}
/* clang-format on */
extern const struct api_field peer_fields[];

/** -ENOMEM. */
int peer_open(struct model *model, struct event_base *base);
void peer_close(struct model *model);

/** dp_config.on_peer. */
void peer_changed(void *ctx, const struct dp_peer *peer);

/**
 * Who else wants to hear that a peer's state changed or that it is cut, after backends have followed. One listener; NULL:
 * none.
 */
void peer_listen(struct model *model, void (*fn)(void *arg, const struct dp_peer *peer), void *arg);

/** Is `address` of the network behind a host that is cut? */
bool peer_has_lost(struct model *model, const struct model_network *network, struct ip_addr address);

/** The vtep goes: nothing is lost behind it any longer. */
void peer_forget(struct model *model, const struct model_vtep *vtep);

/** Some vtep at this host is watched otherwise than before: where nobody watches it any longer, nothing is lost there. */
void peer_settle(struct model *model, struct ip_addr remote);

/** Fills both from params->bfd, what is not given stays as it is. 0, or -1 with *err. Pure. */
int peer_read(const json_t *params, uint32_t *interval_ms, uint8_t *multiplier, struct api_err *err);
