/*
 * consul.h: Consul's API as a source of services. What comes by it is in the service table like all else, and in the
 * journal, from which it comes back with the next life of the daemon. It does not need the server that its clients
 * speak to: a server is handed consul_api() when it is opened, and may come later, or never. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct consul;
struct etcd;
struct event_base;
struct http_api;
struct journal;
struct registry;

enum { CONSUL_KV_MB = 64 };

struct consul_config {
	struct event_base *base;
	struct registry *reg;
	struct journal *journal;
	const char *datacenter; /* as clients are told it, NULL: "dc1"; copied */
	size_t kv_bytes;	/* of all keys and values, 0: CONSUL_KV_MB */
};

/** Brings back what the journal (NULL: nothing is kept) holds. -ENOMEM. */
int consul_open(const struct consul_config *config, struct consul **out);
/** When no server serves it any more; before the journal is closed and the registry freed. NULL is allowed. */
void consul_close(struct consul *consul);

/** What a server serves of it: its routes, and the headers of its answers. */
struct http_api consul_api(struct consul *consul);

/* Hosts share keys and sessions by etcd. */
struct consul_share {
	struct etcd *etcd;	   /* outlives it */
	const char *prefix, *host; /* of its keys, without a slash at the end; copied */
	/** Is that host lost? Then `key` is what it has in etcd while it is not. */
	bool (*lost)(void *arg, const char *host, char *key, size_t room);
	void *arg;
};
/** Keys and sessions are etcd's from now on; those of this daemon alone stay in the journal. -1: no memory. */
int consul_share(struct consul *consul, const struct consul_share *config);
/** Before etcd is closed. NULL is allowed. */
void consul_unshare(struct consul *consul);

struct consul_info {
	size_t kv_keys, kv_bytes, kv_bytes_max;
};
struct consul_info consul_info(const struct consul *consul);
