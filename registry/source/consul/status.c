/* status.c: is there a leader, is there life; and what is not served. */
#include "registry/source/consul/inside.h"

enum { SERVER_PORT = 8300 };

static json_t *server_json(struct consul *consul)
{
	return json_sprintf("%s:%d", registry_node_find(consul->reg, "")->address, SERVER_PORT);
}

void consul_leader(struct http_request *rq)
{
	http_reply_json(rq, 200, server_json(consul_of(rq)));
}

void consul_peers(struct http_request *rq)
{
	http_reply_json(rq, 200, json_pack("[o]", server_json(consul_of(rq))));
}

void consul_healthz(struct http_request *rq)
{
	http_reply_text(rq, 200, "ok\n");
}

void consul_refuse(struct http_request *rq)
{
	http_reply_text(rq, 501, "not served by Sluice: %s", rq->route->why);
}
