/* txn.h: /v1/txn: up to 64 operations on keys, of which all take effect as one generation, or none. */
#pragma once

#include "registry/http/server.h"
#include "registry/source/consul/kv.h"

struct txn_op {
	struct kv_op op; /* texts are of the body, the value is txn_op.bytes */
	char *bytes;
	const char *refused; /* what is wrong with it by itself, NULL: nothing */
};

struct txn {
	json_t *body;
	struct txn_op ops[KV_OPS_MAX];
	size_t n;
};

/** What the request's body asks for. False: it has been answered with an error. */
bool txn_read(struct http_request *rq, struct txn *txn);
void txn_read_free(struct txn *txn);
