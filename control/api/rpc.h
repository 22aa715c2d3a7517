/*
 * rpc.h: JSON-RPC 2.0 over a Unix stream socket, one object a line. Control thread, on its event loop.
 *
 * No client can hold up the daemon. A line has at most RPC_LINE_MAX bytes, and there are at most RPC_CONNS
 * connections. A client that does not read its answers is not read from. It is cut off when it takes nothing
 * for RPC_STALL_S seconds, or when RPC_WATCH_MAX bytes of what it watches wait for it.
 *
 * A request with "durable": true beside its method is answered when what it changed is on disk; the client's further
 * requests wait for that, nobody else's do. So it is with a method that answers API_AGAIN: it is run again when rpc_again()
 * says so, and the client is not told.
 */
#pragma once

#include "control/api/api.h"

enum {
	RPC_LINE_MAX = 1 << 20,
	RPC_CONNS = 64,
	RPC_STALL_S = 30,
	RPC_BACKLOG_MAX = 256 * 1024,
	RPC_WATCH_MAX = 4 << 20,
};

struct event_base;
struct rpc;

/* What is behind the socket. */
struct rpc_methods {
	struct model *model; /* passed to each of these */
	/** NULL: there is none. */
	const struct api_method *(*find)(const char *name);
	/** Checks `params` (may be NULL) and runs the method: 0 with a new reference in *result, or -1 with *err. */
	int (*call)(struct model *model, const struct api_method *method, const char *source,
		const json_t *params, json_t **result, struct api_err *err);
	/** Why a change is not kept for the next start, NULL: it is. */
	const char *(*not_kept)(struct model *model);
	struct rpc_store {
		void *arg; /* passed to each of these */
		/** Calls fn once, later, when all changes until now are on disk, or cannot be written. 0, or -1: no memory. */
		int (*wait)(void *arg, void (*fn)(void *fn_arg, int rc), void *fn_arg);
		/** No such call any more. */
		void (*forget)(void *arg, void *fn_arg);
	} store; /* for requests that ask to be answered when that is so; all NULL: they are answered as others */
};

/**
 * Listens on `path` (mode 0660). A socket file that nobody serves is replaced. One line in `err` on failure:
 * -EADDRINUSE when another process serves it.
 */
int rpc_open(struct event_base *base, const char *path, const struct rpc_methods *methods, struct rpc **out,
	struct api_err *err);

/** Runs those requests again that a method answered by API_AGAIN. */
void rpc_again(struct rpc *rpc);

/** Closes every connection and removes the socket. NULL is allowed. */
void rpc_close(struct rpc *rpc);
