/* metrics.c: /v1/agent/metrics: some of what /metrics tells, as Consul's agent has it. */
#include <string.h>
#include <time.h>

#include "registry/source/consul/inside.h"

static void put_gauge(json_t *list, const char *name, double value, json_t *labels)
{
	json_array_append_new(list, json_pack("{s:s, s:f, s:o}", "Name", name, "Value", value, "Labels",
					    labels ? labels : json_object()));
}

static void put_answers(json_t *list, const struct http_info *info)
{
	char status[] = "0xx";

	for (unsigned group = 0; group < HTTP_GROUPS; group++)
		for (unsigned i = 0; i < HTTP_STATUSES; i++) {
			if (!info->answers[group][i])
				continue;
			status[0] = (char)('0' + HTTP_STATUS_FIRST + i);
			put_gauge(list, "sluice.http.answers", (double)info->answers[group][i],
				json_pack("{s:s, s:s}", "group", http_groups[group], "status", status));
		}
}

static json_t *gauges_json(struct http_request *rq)
{
	const struct consul *consul = consul_of(rq);
	const struct consul_info mine = consul_info(consul);
	const struct reg_checks_info checks = registry_checks_info(consul->reg);
	const struct http_info http = http_info(rq->http);
	json_t *list = json_array();

	put_gauge(list, "sluice.registry.generation", (double)registry_generation(consul->reg), NULL);
	put_gauge(list, "sluice.registry.services", (double)consul->reg->services.count, NULL);
	put_gauge(list, "sluice.registry.nodes", (double)consul->reg->nodes.count, NULL);
	put_gauge(list, "sluice.checks.running", checks.running, NULL);
	put_gauge(list, "sluice.kv.keys", (double)mine.kv_keys, NULL);
	put_gauge(list, "sluice.kv.bytes", (double)mine.kv_bytes, NULL);
	put_gauge(list, "sluice.http.connections", http.connections, NULL);
	put_gauge(list, "sluice.http.waiting", http.parked, NULL);
	put_answers(list, &http);
	return list;
}

static bool wants_prometheus(const struct http_request *rq)
{
	const char *format = http_param(rq, "format"),
		   *accept = evhttp_find_header(evhttp_request_get_input_headers(rq->raw), "Accept");

	if (format && *format)
		return strcmp(format, "prometheus") == 0;
	return accept && (strstr(accept, "openmetrics") || strstr(accept, "text/plain;version=0.0.4"));
}

void consul_metrics(struct http_request *rq)
{
	char stamp[40] = "";
	time_t now = time(NULL);
	struct tm utc;

	if (wants_prometheus(rq)) {
		if (!http_run_page(rq, "/metrics"))
			http_fail(rq, 404, "/metrics is not served");
		return;
	}
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S +0000 UTC", gmtime_r(&now, &utc));
	http_reply_json(rq, 200,
		json_pack("{s:s, s:o, s:[], s:[], s:[]}", "Timestamp", stamp, "Gauges", gauges_json(rq),
			"Points", "Counters", "Samples"));
}
