/* conn.h: a connection to the control socket, as rpc.c and subscription.c see it. Control thread. */
#pragma once

#include <sys/queue.h>

#include "control/api/rpc.h"

struct evbuffer;

struct conn {
	TAILQ_ENTRY(conn) link;
	struct rpc *rpc;
	struct bufferevent *bev;
	LIST_HEAD(, subscription) subscriptions;
	struct rpc_list *list;	/* the answer under way; further requests wait */
	struct evbuffer *held;	/* what is to be sent after it; NULL: nothing yet */
	TAILQ_ENTRY(conn) turn; /* in rpc.ready */
	json_t *durable;	/* the answer that waits for the disk; further requests wait */
	json_t *waiting;	/* the request that is to be run again; further ones wait */
	bool ready;
	bool closing; /* when what is to be written is out */
};

struct rpc {
	struct evconnlistener *listener;
	struct accept_guard *guard;
	struct rpc_methods methods;
	char *path;
	unsigned count;
	TAILQ_HEAD(, conn) conns;
	TAILQ_HEAD(, conn) ready; /* whose list can go on, in their order */
	struct event *go;
};

/** Where the next message goes: not into the middle of a list. NULL: no memory. */
struct evbuffer *rpc_out(struct conn *conn);

/** Writes one object and takes it over. A client that does not read is not read from until it does. */
void rpc_send(struct conn *conn, json_t *message);
