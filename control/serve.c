#include "control/serve.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/cluster/cluster.h"
#include "control/docker/docker.h"
#include "control/host/addr.h"
#include "control/kube.h"
#include "control/metrics/metrics.h"
#include "control/model/model.h"
#include "control/model/objects.h"
#include "control/model/state_dir.h"
#include "registry/dns/dns.h"
#include "registry/http/http.h"
#include "registry/source/consul/consul.h"
#include "registry/store/journal.h"

#define DEFAULT_HTTP "127.0.0.1:8500"
#define DEFAULT_DNS "127.0.0.1:8600"

enum { RECURSOR_TIMEOUT_MS = 2000, CHECK_TARGETS = 64, RETRY_S = 1 };

struct serve {
	struct event_base *base;
	struct model *model;
	json_t *control, *docker,
		*kubernetes; /* of the configuration that the daemon was started with; NULL: none */
	struct retry {
		struct serve *serve;
		struct event *event;
	} retry[OUTAGE_SERVERS]; /* of a server's address, while somebody else has it */
	struct journal *journal;
	struct consul *consul;
	struct http *http; /* NULL: nowhere */
	struct metrics metrics;
	struct http_page pages[2]; /* of these */
	struct dns *dns;
	struct docker *plugin;	 /* NULL: none */
	struct cluster *cluster; /* the same */
	struct kube *followed;	 /* the same */
};

/* What the configuration says of the node; the rest stays as the registry found it. */
static int name_node(struct registry *registry, const json_t *config, struct api_err *err)
{
	const json_t *control = json_object_get(config, "control"),
		     *cluster = json_object_get(config, "cluster");
	struct reg_node node = *registry_node_find(registry, "");
	const char *name = param_str(control, "node"), *address = param_str(control, "node_address");
	const struct reg_pair zone = {"zone", param_str(cluster, "zone")};
	struct reg_err why;
	int rc;

	if (!name) /* no other host has it */
		name = param_str(cluster, "host");
	if (!name && !address && !zone.value)
		return 0;
	if (name)
		snprintf(node.name, sizeof(node.name), "%s", name);
	if (address)
		snprintf(node.address, sizeof(node.address), "%s", address);
	snprintf(node.source, sizeof(node.source), "config");
	node.meta = &zone; /* what it had is borrowed from what is about to be replaced */
	node.nmeta = zone.value != NULL;
	node.tagged = NULL;
	node.ntagged = 0;
	rc = registry_node_put_local(registry, &node, &why);
	return rc < 0 ? api_fail(err, API_INVALID, "control", "%s", why.text) : 0;
}

static struct http_tls_files tls_files(const json_t *control)
{
	return (struct http_tls_files){
		.cert = param_str(control, "http_tls_cert"),
		.key = param_str(control, "http_tls_key"),
		.client_ca = param_str(control, "http_tls_client_ca"),
	};
}

/* "": nowhere */
static const char *http_address(const json_t *control)
{
	const char *listen = param_str(control, "http");

	return listen ? listen : DEFAULT_HTTP;
}

static struct http_config http_options(const json_t *control, const char *hosts[HTTP_HOSTS])
{
	const json_t *list = json_object_get(control, "http_hosts");
	struct http_config config = {
		.listen = http_address(control),
		.token = param_str(control, "http_token"),
		.tls = tls_files(control),
		.insecure = param_bool(control, "http_insecure", false),
		.changes_by_get = param_bool(control, "http_changes_by_get", false),
		.conns = (unsigned)param_int(control, "http_connections", 0),
		.parked = (unsigned)param_int(control, "http_waiting", 0),
		.slow_s = (unsigned)param_int(control, "http_timeout_s", 0),
		.hosts = hosts,
	};

	for (size_t i = 0; i < json_array_size(list) && i < HTTP_HOSTS; i++)
		hosts[config.nhosts++] = json_string_value(json_array_get(list, i));
	return config;
}

/* What clients have registered is there again, whether or not they are served. */
static int open_sources(struct serve *serve, const char *dir, struct api_err *err)
{
	struct consul_config config = {
		.base = serve->base,
		.reg = model_registry(serve->model),
		.datacenter = param_str(serve->control, "datacenter"),
		.kv_bytes = (size_t)param_int(serve->control, "kv_mb", 0) << 20,
	};
	struct reg_err why;
	char path[512];

	if (state_dir_path(dir, STATE_DIR_REGISTRY, path, sizeof(path), err) < 0)
		return -1;
	if (journal_open(serve->base, path, config.reg, &serve->journal, &why) < 0)
		return api_fail(err, API_INTERNAL, NULL, "%s", why.text);
	config.journal = serve->journal;
	if (consul_open(&config, &serve->consul) < 0)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	serve->metrics.consul = serve->consul;
	return 0;
}

/* Listens, if it can now. 0 or -errno. */
static int try_http(struct serve *serve, struct reg_err *why)
{
	const char *hosts[HTTP_HOSTS];
	struct http_config config = http_options(serve->control, hosts);
	int rc;

	config.base = serve->base;
	config.reg = model_registry(serve->model);
	config.api = consul_api(serve->consul);
	config.api.pages = serve->pages;
	config.journal = serve->journal;
	rc = http_open(&config, &serve->http, why);
	if (rc < 0)
		return rc;
	serve->metrics.http = serve->http;
	log_line(LOG_INFO, "%s API on %s", config.tls.cert ? "HTTPS" : "HTTP", config.listen);
	return 0;
}

/* As `status` shows it, which has the address beside it. */
static const char *reason(int rc, const struct reg_err *why)
{
	return rc == -EADDRINUSE ? strerror(-rc) : why->text;
}

/* "": nowhere */
static const char *dns_address(const json_t *control)
{
	const char *listen = param_str(control, "dns");

	return listen ? listen : DEFAULT_DNS;
}

static struct dns_config dns_options(const json_t *control, const char *recursors[DNS_RECURSORS])
{
	const json_t *list = json_object_get(control, "dns_recursors");
	struct dns_config config = {
		.domain = param_str(control, "dns_domain"),
		.datacenter = param_str(control, "datacenter"),
		.only_passing = param_bool(control, "dns_only_passing", false),
		.unmarked = !param_bool(control, "dns_truncate", true),
		.udp_answers = (uint16_t)param_int(control, "dns_udp_answers", 0),
		.ttl_s = (uint32_t)param_int(control, "dns_ttl_s", 0),
		.node_ttl_s = (uint32_t)param_int(control, "dns_node_ttl_s", 0),
		.negative_ttl_s = (uint32_t)param_int(control, "dns_negative_ttl_s", 0),
		.network_conns = (unsigned)param_int(control, "dns_network_connections", 0),
		.network_forwards = (unsigned)param_int(control, "dns_network_forwards", 0),
		.recursor_timeout_ms =
			(uint32_t)param_int(control, "dns_recursor_timeout_ms", RECURSOR_TIMEOUT_MS),
	};

	for (size_t i = 0; i < json_array_size(list) && i < DNS_RECURSORS; i++)
		recursors[config.nrecursors++] = json_string_value(json_array_get(list, i));
	config.recursors = recursors;
	return config;
}

/* Listens at the host's address, if it can now. 0 or -errno. */
static int try_dns(struct serve *serve, struct reg_err *why)
{
	const char *listen = dns_address(serve->control);
	int rc = dns_listen(serve->dns, listen, why);

	if (rc == 0)
		log_line(LOG_INFO, "DNS on %s", listen);
	return rc;
}

/* "": nowhere */
static const char *docker_address(const json_t *docker)
{
	const char *path = param_str(docker, "plugin");

	return path ? path : "";
}

static int try_docker(struct serve *serve, struct reg_err *why)
{
	const char *path = docker_address(serve->docker);
	struct api_err err;
	int rc = docker_listen(serve->plugin, path, &err);

	if (rc < 0)
		snprintf(why->text, sizeof(why->text), "%.199s", err.text);
	else
		log_line(LOG_INFO, "Docker's driver on %s", path);
	return rc;
}

/* The servers, and what is missing while somebody else has their address. */
static const struct server {
	const char *(*address)(const json_t *part);		 /* of the configuration */
	int (*listen)(struct serve *serve, struct reg_err *why); /* 0 or -errno */
	const char *field, *without;
} servers[OUTAGE_SERVERS] = {
	[OUTAGE_HTTP] = {http_address, try_http, "control.http", "no HTTP API"},
	[OUTAGE_DNS] = {dns_address, try_dns, "control.dns", "DNS only at gateways"},
	[OUTAGE_DOCKER] = {docker_address, try_docker, "docker.plugin", "nothing for Docker"},
};

static const char *address_of(const struct serve *serve, enum outage server)
{
	return servers[server].address(server == OUTAGE_DOCKER ? serve->docker : serve->control);
}

/* Makes one listen, or tries again later. *news: its state, or the reason for it, has changed. */
static int serve_listen(struct serve *serve, enum outage server, struct reg_err *why, bool *news)
{
	static const struct timeval pause = {.tv_sec = RETRY_S};
	int rc = servers[server].listen(serve, why);

	if (rc < 0)
		event_add(serve->retry[server].event, &pause);
	*news = model_not_listening(
		serve->model, server, address_of(serve, server), rc < 0 ? reason(rc, why) : NULL);
	return rc;
}

/* Whoever had the address may have gone. */
static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct retry *retry = arg;
	enum outage server = (enum outage)(retry - retry->serve->retry);
	struct reg_err why;
	bool news;

	if (serve_listen(retry->serve, server, &why, &news) < 0 && news)
		log_line(LOG_WARNING, "%s: %s", servers[server].field, why.text);
}

/* At the start: an address that is taken is tried again, and any other error ends the start. */
static int serve_start(struct serve *serve, enum outage server, struct api_err *err)
{
	const struct server *what = &servers[server];
	struct retry *retry = &serve->retry[server];
	struct reg_err why;
	bool news;
	int rc;

	if (!address_of(serve, server)[0])
		return 0;
	retry->serve = serve;
	retry->event = event_new(serve->base, -1, 0, on_retry, retry);
	if (!retry->event)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	rc = serve_listen(serve, server, &why, &news);
	if (rc == -EADDRINUSE) {
		log_line(LOG_WARNING, "%s: %s: %s until the address is free", what->field, why.text,
			what->without);
		return 0;
	}
	return rc < 0 ? api_fail(err, API_INTERNAL, what->field, "%s", why.text) : 0;
}

static int open_dns(struct serve *serve, struct api_err *err)
{
	const char *recursors[DNS_RECURSORS];
	struct dns_config config = dns_options(serve->control, recursors);
	struct reg_err why;
	int rc;

	config.base = serve->base;
	config.reg = model_registry(serve->model);
	model_dns_config(serve->model, &config);
	rc = dns_open(&config, &serve->dns, &why);
	if (rc < 0)
		return api_fail(err, API_INTERNAL, "control.dns", "%s", why.text);
	serve->metrics.dns = serve->dns;
	if (serve_start(serve, OUTAGE_DNS, err) < 0) /* at gateways it answers all the same */
		return -1;
	if (param_bool(serve->control, "dns_gateways", true))
		model_dns_attach(serve->model, serve->dns);
	return 0;
}

/* Before the loop runs, and so before the first probe. */
static int aim_checks(struct registry *registry, const json_t *control, struct api_err *err)
{
	const json_t *list = json_object_get(control, "check_targets");
	struct ip_prefix targets[CHECK_TARGETS] = {0};
	size_t n = 0;

	while (n < json_array_size(list) && n < CHECK_TARGETS &&
		addr_ip_prefix(json_string_value(json_array_get(list, n)), &targets[n]))
		n++;
	if (registry_check_targets(registry, targets, n, param_bool(control, "check_bodies", false)) < 0)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	return 0;
}

/* What Docker has made is there again before anybody is served. */
static int open_docker(struct serve *serve, const char *dir, struct api_err *err)
{
	struct docker_config config = {.base = serve->base, .model = serve->model, .dir = dir};
	const char *pool = param_str(serve->docker, "pool");

	config.api = param_str(serve->docker, "api");
	addr_prefix(pool ? pool : DOCKER_POOL, &config.pool); /* checked already */
	if (!docker_address(serve->docker)[0])
		return 0;
	return docker_open(&config, &serve->plugin, err);
}

static int open_cluster(struct serve *serve, const json_t *part, const char *dir, struct api_err *err)
{
	if (!json_array_size(json_object_get(part, "etcd")))
		return 0;
	return cluster_open(serve->base, serve->model, serve->consul, part, dir, &serve->cluster, err);
}

int serve_open(struct event_base *base, struct model *model, const json_t *config, const char *dir,
	struct serve **out, struct api_err *err)
{
	const json_t *control = json_object_get(config, "control");
	struct serve *serve = calloc(1, sizeof(*serve));
	struct registry *registry = model_registry(model);

	if (!serve)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	serve->metrics.model = model;
	serve->pages[0] = (struct http_page){"/metrics", METRICS_TYPE, metrics_write, &serve->metrics};
	serve->base = base;
	serve->model = model;
	serve->control = json_incref((json_t *)control);
	serve->docker = json_incref(json_object_get(config, "docker"));
	serve->kubernetes = json_incref(json_object_get(config, "kubernetes"));
	if (name_node(registry, config, err) < 0 || aim_checks(registry, control, err) < 0 ||
		open_sources(serve, dir, err) < 0 || open_docker(serve, dir, err) < 0 ||
		serve_start(serve, OUTAGE_HTTP, err) < 0 || open_dns(serve, err) < 0 ||
		serve_start(serve, OUTAGE_DOCKER, err) < 0 ||
		open_cluster(serve, json_object_get(config, "cluster"), dir, err) < 0 ||
		kube_open(base, model, serve->kubernetes, dir, &serve->followed, err) < 0) {
		serve_close(serve);
		return -1;
	}
	*out = serve;
	return 0;
}

int serve_check(const json_t *config, struct api_err *err)
{
	const json_t *control = json_object_get(config, "control");
	const char *hosts[HTTP_HOSTS], *recursors[DNS_RECURSORS];
	const struct http_config http = http_options(control, hosts);
	const struct dns_config dns = dns_options(control, recursors);
	const json_t *docker = json_object_get(config, "docker");
	const char *pool = param_str(docker, "pool");
	struct addr_prefix prefix = {0, 32};
	struct http_tls *tls;
	struct reg_err why;

	if (http_tls_open(&http.tls, &tls, &why) < 0) /* names its own fields */
		return api_fail(err, API_INVALID, NULL, "control.%s", why.text);
	http_tls_close(tls);
	if (http_check(&http, &why) < 0)
		return api_fail(err, API_INVALID, "control.http", "%s", why.text);
	if (dns_check(&dns, dns_address(control), &why) < 0)
		return api_fail(err, API_INVALID, "control.dns", "%s", why.text);
	if (param_given(docker, "api") && !param_given(docker, "plugin"))
		return api_fail(err, API_INVALID, "docker.api", "is of no use without docker.plugin");
	addr_prefix(pool, &prefix);
	if (pool && (prefix.len < 8 || prefix.len > DOCKER_POOL_LEN))
		return api_fail(err, API_INVALID, "docker.pool", "must have a prefix length of 8 to %d",
			DOCKER_POOL_LEN);
	if (cluster_check(json_object_get(config, "cluster"), err) < 0)
		return -1;
	return kube_check(json_object_get(config, "kubernetes"), err);
}

int serve_reload(struct serve *serve, struct api_err *err)
{
	struct reg_err why;

	if (serve->http && http_reload(serve->http, &why) < 0)
		return api_fail(err, API_INVALID, NULL, "control.%s", why.text);
	return 0;
}

void serve_close(struct serve *serve)
{
	if (!serve)
		return;
	model_dns_attach(serve->model, NULL);
	dns_close(serve->dns);
	for (unsigned i = 0; i < OUTAGE_SERVERS; i++)
		if (serve->retry[i].event)
			event_free(serve->retry[i].event);
	cluster_close(serve->cluster);
	kube_close(serve->followed);
	docker_close(serve->plugin);
	http_close(serve->http);
	consul_close(serve->consul);
	journal_close(serve->journal);
	json_decref(serve->control);
	json_decref(serve->docker);
	json_decref(serve->kubernetes);
	free(serve);
}
