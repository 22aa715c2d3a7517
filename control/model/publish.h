/*
 * publish.h: ports of the host's that lead to an address, or a service's vip, in a network of mode `host`; and with them
 * all that the host's kernel forwards for such a network (forwarding.h). Into networks of other modes ports of the uplinks'
 * addresses lead, by the dataplane. Control thread.
 */
#pragma once

#include "control/model/objects.h"

/* Where it leads: a fixed address, or wherever the service's vip is. */
struct model_publish {
	TAILQ_ENTRY(model_publish) link;
	char name[MODEL_NAME], source[MODEL_SOURCE];
	enum reg_protocol protocol;
	struct ip_addr address; /* the host's or an uplink's; 0.0.0.0 and "::": any of that family */
	uint16_t port;
	char service[MODEL_NAME];      /* "": a fixed address */
	struct model_network *network; /* NULL: the service has no vip in such a network now */
	struct ip_addr to;	       /* of the family of `address` */
	uint16_t to_port;
};

struct model_publish *model_publish(struct model *model, const char *name);

/** Names of the protocols, NULL-terminated. */
extern const char *const model_publish_protocols[];

#define MODEL_PUBLISH_NOWHERE "%s is in no network with a gateway, or in several"
#define MODEL_PUBLISH_NO_VIP "service %s has no %s vip of IPv%d in a network with a gateway"

/** What the parameters of publish.add say, network and a service's vip left out. Pure. */
int model_publish_read(const json_t *params, struct model_publish *publish, struct api_err *err);

/** Is it of IPv6? What is published leads from a family to the same one. */
static inline bool model_publish_is6(const struct model_publish *publish)
{
	return !ip_is4(publish->address);
}

/** Do both take the same packets? */
bool model_publish_clash(const struct model_publish *a, const struct model_publish *b);

/** Finds where it leads, by its service or its address, into network, to and to_port. False: nowhere. */
bool model_publish_find(struct model *model, struct model_publish *publish);

/** Has the host forward what `egress` and what is published into the network say; -1: nothing is changed. */
int model_forward(
	struct model *model, struct model_network *network, enum egress egress, struct api_err *err);

/**
 * What leaves for these, sorted, goes under its own addresses, which they have a way back to: with egress masquerade in mode
 * host. They are copied. -1: nothing is changed.
 */
int model_forward_near(struct model *model, struct model_network *network, const struct ip_addr *list,
	size_t n, struct api_err *err);

/**
 * From here to the matching end the host is not told of each port that is published or no longer is, but of all at the end:
 * each time is a rewriting of all rules of the network. Pairs may nest. -1 with *err: the host did not take some of them.
 */
void model_publish_begin(struct model *model);
int model_publish_end(struct model *model, struct api_err *err);

/** The service was made or changed, or is `gone`: what is published by its name follows. */
void model_publish_follow(struct model *model, const struct reg_service *service, bool gone);
