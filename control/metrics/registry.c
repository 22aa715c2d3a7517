#include <event2/buffer.h>
#include <stdio.h>

#include "control/base/log.h"
#include "control/metrics/metrics.h"
#include "control/model/objects.h"
#include "registry/base/accept.h"
#include "registry/dns/dns.h"
#include "registry/http/http.h"
#include "registry/source/consul/consul.h"

static const char *const healths[] = {"passing", "warning", "critical", "draining"};
enum { HEALTHS = sizeof(healths) / sizeof(healths[0]) };

/* One walk over services, or over services and backends, writing one family. */
struct page {
	struct metrics *metrics;
	struct evbuffer *out;
	const char *name; /* of the family */
	const struct reg_service *service;
	const struct model_service *known;
	const struct metrics_counter *counter;
	bool least; /* only services that are balanced by load */
	unsigned listed, of[HEALTHS];
};

static bool write_service(void *arg, const struct reg_service *service)
{
	struct page *page = arg;

	if (page->listed++ >= METRICS_EACH)
		return true;
	registry_service_healths(page->metrics->model->registry, service->name, page->of);
	for (unsigned i = 0; i < HEALTHS; i++)
		metrics_value(
			page->out, page->name, "service", service->name, "health", healths[i], page->of[i]);
	return true;
}

static void write_services(struct metrics *metrics, struct evbuffer *out)
{
	struct page page = {.metrics = metrics, .out = out, .name = "sluice_service_backends"};

	metrics_family(out, page.name, METRICS_GAUGE, "Backends of a service, by health.");
	registry_service_walk(metrics->model->registry, write_service, &page);
	metrics->left_off += page.listed > METRICS_EACH ? page.listed - METRICS_EACH : 0;
	metrics_single(out, "sluice_services", METRICS_GAUGE, "Services.", page.listed);
}

#define BACKEND(field) offsetof(struct dp_backend_info, field)
static const struct metrics_counter backend_metrics[] = {
	{"sluice_backend_connections", "Connections through the vip.", BACKEND(connections)}, /* a gauge */
	{"sluice_backend_packets_total", "Packets balanced.", BACKEND(packets)},
	{"sluice_backend_bytes_total", "Bytes balanced.", BACKEND(bytes)},
	{"sluice_backend_opened_total", "Connections given to it that it was to answer.", BACKEND(opened)},
	{"sluice_backend_answered_total", "Those of which it answered the first packet.", BACKEND(answered)},
	{"sluice_backend_refused_total", "Those that it answered by a reset.", BACKEND(refused)},
};

/* Gauges, of services whose policy is `least`. */
static const struct metrics_counter load_metrics[] = {
	{"sluice_backend_in_flight",
		"Requests that wait for an answer, and connections that have not asked yet.",
		BACKEND(in_flight)},
	{"sluice_backend_latency_microseconds",
		"From a request to its answer, a moving average; 0: not known.", BACKEND(latency_us)},
};

static bool write_backend(void *arg, const struct reg_backend *backend)
{
	struct page *page = arg;
	struct dp_backend_info info = {0};

	if (!backend->balanced || page->listed++ >= METRICS_EACH)
		return true;
	model_backend_info(page->metrics->model, page->known, backend->address, backend->port, &info);
	metrics_value(page->out, page->name, "service", page->service->name, "backend", backend->id,
		(double)metrics_counter_of(page->counter, &info));
	return true;
}

static bool write_backends_of(void *arg, const struct reg_service *service)
{
	struct page *page = arg;

	page->service = service;
	page->known = model_service(page->metrics->model, service->name);
	if (page->known && (!page->least || reg_service_is_least(service)))
		registry_backend_walk(page->metrics->model->registry, service->name, write_backend, page);
	return true;
}

static void write_backends(struct metrics *metrics, struct evbuffer *out)
{
	for (size_t i = 0; i < sizeof(backend_metrics) / sizeof(backend_metrics[0]); i++) {
		struct page page = {.metrics = metrics,
			.out = out,
			.name = backend_metrics[i].name,
			.counter = &backend_metrics[i]};

		metrics_family(
			out, page.name, i == 0 ? METRICS_GAUGE : METRICS_COUNTER, backend_metrics[i].help);
		registry_service_walk(metrics->model->registry, write_backends_of, &page);
		if (i == 0 && page.listed > METRICS_EACH)
			metrics->left_off += page.listed - METRICS_EACH;
	}
}

static void write_loads(struct metrics *metrics, struct evbuffer *out)
{
	for (size_t i = 0; i < sizeof(load_metrics) / sizeof(load_metrics[0]); i++) {
		struct page page = {.metrics = metrics,
			.out = out,
			.name = load_metrics[i].name,
			.counter = &load_metrics[i],
			.least = true};

		metrics_family(out, page.name, METRICS_GAUGE, load_metrics[i].help);
		registry_service_walk(metrics->model->registry, write_backends_of, &page);
	}
}

static void write_delays(const struct reg_checks_info *info, struct evbuffer *out)
{
	static const unsigned bounds_ms[REG_DELAYS - 1] = REG_DELAY_BOUNDS_MS;
	uint64_t count = 0;
	char bound[16];

	metrics_family(out, "sluice_check_delay_seconds", METRICS_HISTOGRAM,
		"By how much the turns and time-outs of checks came late.");
	for (unsigned i = 0; i < REG_DELAYS; i++) {
		count += info->delays[i];
		if (i < REG_DELAYS - 1)
			snprintf(bound, sizeof(bound), "%g", bounds_ms[i] / 1e3);
		else
			snprintf(bound, sizeof(bound), "+Inf");
		metrics_value(
			out, "sluice_check_delay_seconds_bucket", "le", bound, NULL, NULL, (double)count);
	}
	metrics_value(
		out, "sluice_check_delay_seconds_sum", NULL, NULL, NULL, NULL, (double)info->delay_us / 1e6);
	metrics_value(out, "sluice_check_delay_seconds_count", NULL, NULL, NULL, NULL, (double)count);
}

static void write_checks(struct registry *registry, struct evbuffer *out)
{
	static const char *const results[REG_CHECK_RESULTS] = {"passed", "warned", "failed", "not-made"};
	struct reg_checks_info info = registry_checks_info(registry);

	metrics_family(out, "sluice_check_results_total", METRICS_COUNTER,
		"Results of checks; not-made: this host had no socket left.");
	for (unsigned i = 0; i < REG_CHECK_RESULTS; i++)
		metrics_value(out, "sluice_check_results_total", "result", results[i], NULL, NULL,
			(double)info.results[i]);
	metrics_single(out, "sluice_checks_running", METRICS_GAUGE, "Probes under way.", info.running);
	write_delays(&info, out);
	metrics_single(out, "sluice_registry_generation", METRICS_GAUGE, "Generation of the service table.",
		(double)registry_generation(registry));
}

static void write_kv(const struct consul *consul, struct evbuffer *out)
{
	struct consul_info info = consul_info(consul);

	metrics_single(
		out, "sluice_kv_keys", METRICS_GAUGE, "Keys of the key-value store.", (double)info.kv_keys);
	metrics_single(
		out, "sluice_kv_bytes", METRICS_GAUGE, "Bytes of keys and values.", (double)info.kv_bytes);
	metrics_single(out, "sluice_kv_limit_bytes", METRICS_GAUGE,
		"Bytes that they may have (control.kv_mb).", (double)info.kv_bytes_max);
}

static void write_api(const struct http *http, struct evbuffer *out)
{
	static const char *const statuses[HTTP_STATUSES] = {"2xx", "3xx", "4xx", "5xx"};
	struct http_info info = http_info(http);

	metrics_single(out, "sluice_http_connections", METRICS_GAUGE, "Clients connected to the HTTP API.",
		info.connections);
	metrics_single(out, "sluice_http_parked_queries", METRICS_GAUGE, "Queries that wait for a change.",
		info.parked);
	metrics_single(out, "sluice_http_streams", METRICS_GAUGE, "Clients that follow /v1/sluice/watch.",
		info.streams);
	metrics_single(out, "sluice_http_streams_cut_total", METRICS_COUNTER,
		"Followers that were cut off because they did not read.", (double)info.streams_cut);
	metrics_single(out, "sluice_http_streams_refused_total", METRICS_COUNTER,
		"Followers that were refused because there were too many.", (double)info.streams_refused);
	metrics_single(out, "sluice_http_lists", METRICS_GAUGE, "Long answers under way.", info.lists);
	metrics_single(out, "sluice_http_slices_total", METRICS_COUNTER, "Slices in which lists were made.",
		(double)info.slices);
	metrics_single(out, "sluice_http_cache_answers", METRICS_GAUGE, "Answers that are kept.", info.kept);
	metrics_single(out, "sluice_http_cache_bytes", METRICS_GAUGE, "Memory that they take.",
		(double)info.kept_bytes);
	metrics_family(out, "sluice_http_cache_requests_total", METRICS_COUNTER,
		"Questions whose answer may be kept: it was (hit), or had to be made (miss).");
	metrics_value(
		out, "sluice_http_cache_requests_total", "result", "hit", NULL, NULL, (double)info.hits);
	metrics_value(
		out, "sluice_http_cache_requests_total", "result", "miss", NULL, NULL, (double)info.misses);
	metrics_family(out, "sluice_http_requests_total", METRICS_COUNTER,
		"Requests answered, by the first part of their path and by status.");
	for (unsigned group = 0; group < HTTP_GROUPS; group++)
		for (unsigned i = 0; i < HTTP_STATUSES; i++)
			metrics_value(out, "sluice_http_requests_total", "group", http_groups[group],
				"status", statuses[i], (double)info.answers[group][i]);
}

struct dns_page {
	struct evbuffer *out;
	const char *name; /* of the family */
	unsigned n, which;
};

static void write_dns_listener(void *arg, const struct dns_listener_info *info)
{
	struct dns_page *page = arg;
	const double value[] = {info->connections, info->forwards, (double)info->closed, (double)info->waited,
		(double)info->refused, (double)info->dropped};

	if (page->n++ < METRICS_EACH)
		metrics_value(
			page->out, page->name, "network", info->network, NULL, NULL, value[page->which]);
}

/* By network, the host's own address without a name. */
static void write_dns_listeners(const struct dns *dns, struct evbuffer *out)
{
	static const struct {
		const char *name, *help;
		enum metrics_kind kind;
	} families[] = {
		{"sluice_dns_connections", "DNS clients connected by TCP.", METRICS_GAUGE},
		{"sluice_dns_forwards", "DNS queries at recursors.", METRICS_GAUGE},
		{"sluice_dns_closed_connections_total", "DNS connections of clients that had enough of them.",
			METRICS_COUNTER},
		{"sluice_dns_full_total", "How often new DNS connections had to wait for others to end.",
			METRICS_COUNTER},
		{"sluice_dns_refused_forwards_total",
			"DNS queries for recursors for which there was no room.", METRICS_COUNTER},
		{"sluice_dns_dropped_queries_total",
			"DNS queries by UDP that came faster than they were answered.", METRICS_COUNTER},
	};

	for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct dns_page page = {.out = out, .name = families[i].name, .which = i};

		metrics_family(out, families[i].name, families[i].kind, families[i].help);
		dns_listeners(dns, write_dns_listener, &page);
	}
}

static void write_dns(const struct dns *dns, struct evbuffer *out)
{
	static const char *const transports[DNS_TRANSPORTS] = {"udp", "tcp"};
	static const char *const codes[DNS_CODES] = {
		"noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "other"};
	const struct dns_info info = dns_info(dns);

	metrics_family(out, "sluice_dns_answers_total", METRICS_COUNTER,
		"Answers of the daemon's own, by transport and code.");
	for (unsigned transport = 0; transport < DNS_TRANSPORTS; transport++)
		for (unsigned code = 0; code < DNS_CODES; code++)
			metrics_value(out, "sluice_dns_answers_total", "transport", transports[transport],
				"code", codes[code], (double)info.answers[transport][code]);
	metrics_single(out, "sluice_dns_cached_answers_total", METRICS_COUNTER,
		"DNS answers that were not made anew.", (double)info.cached);
	metrics_single(out, "sluice_dns_cut_answers_total", METRICS_COUNTER,
		"DNS answers without all that there was.", (double)info.cut);
	metrics_single(out, "sluice_dns_forwarded_queries_total", METRICS_COUNTER,
		"DNS queries passed on to recursors.", (double)info.forwarded);
	metrics_single(out, "sluice_dns_kept_answers", METRICS_GAUGE,
		"DNS answers that are kept until what they say changes.", (double)info.kept);
	metrics_single(
		out, "sluice_dns_kept_bytes", METRICS_GAUGE, "What they take.", (double)info.kept_bytes);
}

void metrics_write_registry(struct metrics *metrics, struct evbuffer *out)
{
	write_services(metrics, out);
	write_backends(metrics, out);
	write_loads(metrics, out);
	write_checks(metrics->model->registry, out);
	write_api(metrics->http, out);
	write_kv(metrics->consul, out);
	write_dns(metrics->dns, out);
	write_dns_listeners(metrics->dns, out);
	metrics_single(out, "sluice_accept_rests_total", METRICS_COUNTER,
		"How often a listener rested because no descriptor was left.", (double)accept_rests());
	metrics_single(out, "sluice_log_lines_left_out_total", METRICS_COUNTER, "Lines left out of the log.",
		(double)log_left_out());
}
