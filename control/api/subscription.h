/*
 * subscription.h: what a connection receives after its call, until it ends (api.h, api_watch). Small changes
 * are sent at once. A large one is sent in parts, when the connection has nothing else to send, and only once
 * for all the changes that it had until then. Control thread.
 */
#pragma once

#include "control/api/api.h"

struct conn;

/** Subscribes to `type`; NULL, for a method without one, does nothing. 0, or -1 with *err. */
int subscription_begin(
	struct conn *conn, const struct api_watch *type, const json_t *params, struct api_err *err);

/** Begins to send the large one that changed first, if the connection has nothing else to send. */
void subscription_tell(struct conn *conn);

void subscription_end_all(struct conn *conn);
