/* api.c: what makes an answer one of Consul's: its headers, and what each query may ask for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "registry/source/consul/inside.h"

/* Of what is read from a copy: how old that may be. */
static void add_contact(struct http_request *rq)
{
	uint64_t ms = 0;
	bool known = !rq->view->unordered_if || consul_contact(consul_of(rq), &ms);
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, ms);
	http_header(rq, "X-Consul-Knownleader", known ? "true" : "false");
	http_header(rq, "X-Consul-Lastcontact", text);
}

static void add_headers(struct http_request *rq)
{
	char index[24];

	http_header(rq, "X-Consul-Default-Acl-Policy", rq->http->token ? "deny" : "allow");
	if (rq->cached && rq->code < 400) { /* as from a cache that is never behind */
		http_header(rq, "X-Cache", "HIT");
		http_header(rq, "Age", "0");
	}
	if (rq->hash[0])
		http_header(rq, "X-Consul-Contenthash", rq->hash);
	if (!rq->index)
		return;
	if (!http_view_is_unordered(rq))
		consul_index_shown(consul_of(rq), rq->index);
	snprintf(index, sizeof(index), "%" PRIu64, rq->index);
	http_header(rq, "X-Consul-Index", index);
	snprintf(index, sizeof(index), "%" PRIu64, registry_generation(consul_of(rq)->reg));
	http_header(rq, "X-Sluice-Generation", index);
	consul_reason(rq);
	add_contact(rq);
	http_header(rq, "X-Consul-Query-Backend", "blocking-query");
	http_header(rq, "X-Consul-Effective-Consistency",
		http_flag(rq, "stale")	      ? "stale"
		: http_flag(rq, "consistent") ? "consistent"
					      : "leader");
}

static bool is_here(struct http_request *rq, const char *dc)
{
	if (dc && *dc && strcmp(dc, consul_of(rq)->datacenter) != 0)
		return http_fail(rq, 500, "No path to datacenter");
	return true;
}

bool consul_is_for_here(struct http_request *rq, const json_t *body)
{
	return is_here(rq, json_string_value(consul_field(body, "Datacenter")));
}

/* Features of Consul Enterprise and of its peering, which choose other data: never left out without a word. */
static const struct {
	const char *parameter, *header, *feature;
} absent[] = {
	{"ns", "X-Consul-Namespace", "Namespaces are a Consul Enterprise feature"},
	{"partition", "X-Consul-Partition", "Partitions are a Consul Enterprise feature"},
	{"peer", NULL, "there are no peers"},
	{"sg", NULL, "Sameness groups are a Consul Enterprise feature"},
};

static bool is_plain(struct http_request *rq)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->raw);

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		const char *value = http_param(rq, absent[i].parameter),
			   *header = absent[i].header ? evhttp_find_header(headers, absent[i].header) : NULL;

		if (value && *value)
			return http_fail(rq, 400, "Invalid query parameter: \"%s\" - %s", absent[i].parameter,
				absent[i].feature);
		if (header && *header)
			return http_fail(
				rq, 400, "Invalid header: \"%s\" - %s", absent[i].header, absent[i].feature);
	}
	return true;
}

static bool accepts(struct http_request *rq)
{
	if (!is_plain(rq))
		return false;
	if (http_flag(rq, "stale") && http_flag(rq, "consistent"))
		return http_fail(rq, 400, "Cannot specify ?stale with ?consistent, conflicting semantics.");
	return is_here(rq, http_param(rq, "dc"));
}

struct http_api consul_api(struct consul *consul)
{
	return (struct http_api){
		.routes = consul_routes, .ctx = consul, .headers = add_headers, .accepts = accepts};
}
