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
	struct metrics *m;
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
	registry_service_healths(page->m->model->registry, service->name, page->of);
	for (unsigned i = 0; i < HEALTHS; i++)
		metrics_value2(page->m, "service", service->name, "health", healths[i], page->of[i]);
	return true;
}

static void write_services(struct metrics *m)
{
	struct page page = {.m = m};

	metrics_family(m, "sluice_service_backends", "Backends of a service, by health.");
	registry_service_walk(m->model->registry, write_service, &page);
	m->left_off += page.listed > METRICS_EACH ? page.listed - METRICS_EACH : 0;
	metrics_single(m, "sluice_services", "Services.", page.listed);
}

#define BACKEND(field) offsetof(struct dp_backend_info, field)
static const struct metrics_counter backend_metrics[] = {
	{"sluice_backend_connections", "Connections through the vip.", BACKEND(connections)},
	{"sluice_backend_packets_total", "Packets balanced.", BACKEND(packets)},
	{"sluice_backend_bytes_total", "Bytes balanced.", BACKEND(bytes)},
	{"sluice_backend_opened_total", "Connections given to it that it was to answer.", BACKEND(opened)},
	{"sluice_backend_answered_total", "Those of which it answered the first packet.", BACKEND(answered)},
	{"sluice_backend_refused_total", "Those that it answered by a reset.", BACKEND(refused)},
};

/* Of services whose policy is `least`. */
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
	model_backend_info(page->m->model, page->known, backend->address, backend->port, &info);
	metrics_value2(page->m, "service", page->service->name, "backend", backend->id,
		metrics_counter_of(page->counter, &info));
	return true;
}

static bool write_backends_of(void *arg, const struct reg_service *service)
{
	struct page *page = arg;

	page->service = service;
	page->known = model_service(page->m->model, service->name);
	if (page->known && (!page->least || reg_service_is_least(service)))
		registry_backend_walk(page->m->model->registry, service->name, write_backend, page);
	return true;
}

/* How many backends there were. */
static unsigned write_family(struct metrics *m, const struct metrics_counter *counter, bool least)
{
	struct page page = {.m = m, .counter = counter, .least = least};

	metrics_family(m, counter->name, counter->help);
	registry_service_walk(m->model->registry, write_backends_of, &page);
	return page.listed;
}

static void write_backends(struct metrics *m)
{
	unsigned listed = 0;

	for (size_t i = 0; i < sizeof(backend_metrics) / sizeof(backend_metrics[0]); i++)
		listed = write_family(m, &backend_metrics[i], false);
	m->left_off += listed > METRICS_EACH ? listed - METRICS_EACH : 0;
	for (size_t i = 0; i < sizeof(load_metrics) / sizeof(load_metrics[0]); i++)
		write_family(m, &load_metrics[i], true);
}

static void write_delays(struct metrics *m, const struct reg_checks_info *info)
{
	static const unsigned bounds_ms[REG_DELAYS - 1] = REG_DELAY_BOUNDS_MS;
	uint64_t count = 0;
	char bound[16];

	metrics_histogram(
		m, "sluice_check_delay_seconds", "By how much the turns and time-outs of checks came late.");
	m->family = "sluice_check_delay_seconds_bucket";
	for (unsigned i = 0; i < REG_DELAYS; i++) {
		count += info->delays[i];
		if (i < REG_DELAYS - 1)
			snprintf(bound, sizeof(bound), "%g", bounds_ms[i] / 1e3);
		else
			snprintf(bound, sizeof(bound), "+Inf");
		metrics_value(m, "le", bound, count);
	}
	m->family = "sluice_check_delay_seconds_sum";
	metrics_value(m, NULL, NULL, info->delay_us / 1e6);
	m->family = "sluice_check_delay_seconds_count";
	metrics_value(m, NULL, NULL, count);
}

static void write_checks(struct metrics *m)
{
	static const char *const results[REG_CHECK_RESULTS] = {"passed", "warned", "failed", "not-made"};
	struct reg_checks_info info = registry_checks_info(m->model->registry);

	metrics_family(m, "sluice_check_results_total",
		"Results of checks; not-made: this host had no socket left.");
	for (unsigned i = 0; i < REG_CHECK_RESULTS; i++)
		metrics_value(m, "result", results[i], info.results[i]);
	metrics_single(m, "sluice_checks_running", "Probes under way.", info.running);
	write_delays(m, &info);
	metrics_single(m, "sluice_registry_generation", "Generation of the service table.",
		registry_generation(m->model->registry));
}

static void write_kv(struct metrics *m)
{
	struct consul_info info = consul_info(m->consul);

	metrics_single(m, "sluice_kv_keys", "Keys of the key-value store.", info.kv_keys);
	metrics_single(m, "sluice_kv_bytes", "Bytes of keys and values.", info.kv_bytes);
	metrics_single(
		m, "sluice_kv_limit_bytes", "Bytes that they may have (control.kv_mb).", info.kv_bytes_max);
}

static void write_api(struct metrics *m)
{
	static const char *const statuses[HTTP_STATUSES] = {"2xx", "3xx", "4xx", "5xx"};
	struct http_info info = http_info(m->http);

	metrics_single(m, "sluice_http_connections", "Clients connected to the HTTP API.", info.connections);
	metrics_single(m, "sluice_http_parked_queries", "Queries that wait for a change.", info.parked);
	metrics_single(m, "sluice_http_streams", "Clients that follow /v1/sluice/watch.", info.streams);
	metrics_single(m, "sluice_http_streams_cut_total",
		"Followers that were cut off because they did not read.", info.streams_cut);
	metrics_single(m, "sluice_http_streams_refused_total",
		"Followers that were refused because there were too many.", info.streams_refused);
	metrics_single(m, "sluice_http_lists", "Long answers under way.", info.lists);
	metrics_single(m, "sluice_http_slices_total", "Slices in which lists were made.", info.slices);
	metrics_single(m, "sluice_http_cache_answers", "Answers that are kept.", info.kept);
	metrics_single(m, "sluice_http_cache_bytes", "Memory that they take.", info.kept_bytes);
	metrics_family(m, "sluice_http_cache_requests_total",
		"Questions whose answer may be kept: it was (hit), or had to be made (miss).");
	metrics_value(m, "result", "hit", info.hits);
	metrics_value(m, "result", "miss", info.misses);
	metrics_family(m, "sluice_http_requests_total",
		"Requests answered, by the first part of their path and by status.");
	for (unsigned group = 0; group < HTTP_GROUPS; group++)
		for (unsigned i = 0; i < HTTP_STATUSES; i++)
			metrics_value2(m, "group", http_groups[group], "status", statuses[i],
				info.answers[group][i]);
}

struct dns_page {
	struct metrics *m;
	unsigned n, which;
};

static void write_dns_listener(void *arg, const struct dns_listener_info *info)
{
	struct dns_page *page = arg;
	const double value[] = {info->connections, info->forwards, (double)info->closed, (double)info->waited,
		(double)info->refused, (double)info->dropped};

	if (page->n++ < METRICS_EACH)
		metrics_value(page->m, "network", info->network, value[page->which]);
}

/* By network, the host's own address without a name. */
static void write_dns_listeners(struct metrics *m)
{
	static const struct {
		const char *name, *help;
	} families[] = {
		{"sluice_dns_connections", "DNS clients connected by TCP."},
		{"sluice_dns_forwards", "DNS queries at recursors."},
		{"sluice_dns_closed_connections_total",
			"DNS connections of clients that had enough of them."},
		{"sluice_dns_full_total", "How often new DNS connections had to wait for others to end."},
		{"sluice_dns_refused_forwards_total",
			"DNS queries for recursors for which there was no room."},
		{"sluice_dns_dropped_queries_total",
			"DNS queries by UDP that came faster than they were answered."},
	};

	for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct dns_page page = {.m = m, .which = i};

		metrics_family(m, families[i].name, families[i].help);
		dns_listeners(m->dns, write_dns_listener, &page);
	}
}

static void write_dns(struct metrics *m)
{
	static const char *const transports[DNS_TRANSPORTS] = {"udp", "tcp"};
	static const char *const codes[DNS_CODES] = {
		"noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "other"};
	const struct dns_info info = dns_info(m->dns);

	metrics_family(m, "sluice_dns_answers_total", "Answers of the daemon's own, by transport and code.");
	for (unsigned transport = 0; transport < DNS_TRANSPORTS; transport++)
		for (unsigned code = 0; code < DNS_CODES; code++)
			metrics_value2(m, "transport", transports[transport], "code", codes[code],
				info.answers[transport][code]);
	metrics_single(
		m, "sluice_dns_cached_answers_total", "DNS answers that were not made anew.", info.cached);
	metrics_single(
		m, "sluice_dns_cut_answers_total", "DNS answers without all that there was.", info.cut);
	metrics_single(m, "sluice_dns_forwarded_queries_total", "DNS queries passed on to recursors.",
		info.forwarded);
	metrics_single(m, "sluice_dns_kept_answers", "DNS answers that are kept until what they say changes.",
		info.kept);
	metrics_single(m, "sluice_dns_kept_bytes", "What they take.", info.kept_bytes);
}

void metrics_write_registry(struct metrics *m)
{
	write_services(m);
	write_backends(m);
	write_checks(m);
	write_api(m);
	write_kv(m);
	write_dns(m);
	write_dns_listeners(m);
	metrics_single(m, "sluice_accept_rests_total",
		"How often a listener rested because no descriptor was left.", accept_rests());
	metrics_single(m, "sluice_log_lines_left_out_total", "Lines left out of the log.", log_left_out());
}
