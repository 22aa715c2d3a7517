#include "control/cluster/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/cluster/ipam.h"
#include "control/cluster/show.h"
#include "control/global/global.h"
#include "control/model/peer.h"
#include "registry/base/chance.h"
#include "registry/base/wheel.h"
#include "registry/source/consul/consul.h"
#include "registry/source/hosts/hosts.h"
#include "registry/store/journal.h"

#define DEFAULT_PREFIX "/sluice/v1"

enum {
	ALIVE_S = 6,
	LEASE_S = 900,
	BFD_MS = 100,
	BFD_MULTIPLIER = 3,
	BACK_OFF_MS = 200, /* at most, after one failure */
	BACK_OFF_MOST_MS = 10000,
	PASSWORD = 256,
};

static const char *const unknown_choices[] = {"drop", "flood", NULL};

const struct api_field cluster_fields[] = {
	{.name = "etcd",
		.type = API_LIST,
		.item = API_STRING,
		.help = "URLs of etcd's members: https://192.0.2.7:2379 (default none: no cluster)",
		.max = ETCD_MEMBERS},
	{.name = "prefix",
		.type = API_PATH,
		.help = "of all keys (default " DEFAULT_PREFIX ")",
		.min = 2,
		.max = CLUSTER_PREFIX - 2},
	{.name = "host",
		.type = API_NAME,
		.help = "name of this host, which no other one has (default its host name)"},
	{.name = "zone", .type = API_NAME, .help = "where it is (default none)"},
	{.name = "ca",
		.type = API_PATH,
		.help = "issuers of etcd's certificates, in PEM (default those of the system)",
		.max = 4095},
	{.name = "cert",
		.type = API_PATH,
		.help = "certificate to show etcd, in PEM (default none)",
		.max = 4095},
	{.name = "key", .type = API_PATH, .help = "its key (default none)", .max = 4095},
	{.name = "user", .type = API_STRING, .help = "at etcd (default none)", .min = 1, .max = 63},
	{.name = "password_file",
		.type = API_PATH,
		.help = "whose first line is its password (default none)",
		.max = 4095},
	{.name = "alive_s",
		.type = API_INT,
		.help = "seconds after which a host that is silent is down for the others (default 6)",
		.min = 2,
		.max = 300},
	{.name = "lease_s",
		.type = API_INT,
		.help = "seconds after which its guests are forgotten (default 900)",
		.min = 5,
		.max = 86400},
	{.name = "bfd",
		.type = API_OBJECT,
		.help = "watch the hosts that this one has tunnels to by BFD",
		.fields = peer_fields},
	{.name = "unknown",
		.type = API_ENUM,
		.help = "frames to a MAC that no host has, in networks without vteps made by hand (default "
			"drop)",
		.choices = unknown_choices},
	{NULL},
};

int64_t cluster_now_ms(void)
{
	return (int64_t)(wheel_now_us() / 1000);
}

static void add_after(struct event *event, unsigned ms)
{
	const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(event, &pause);
}

void cluster_back_off(struct event *event, unsigned failures)
{
	unsigned most = BACK_OFF_MOST_MS;

	if (failures < 6 && BACK_OFF_MS << failures < BACK_OFF_MOST_MS)
		most = BACK_OFF_MS << failures;
	add_after(event, chance_between(1, most));
}

void cluster_touch(struct cluster *cluster, bool local)
{
	cluster->local_changed = cluster->local_changed || local;
	if (!evtimer_pending(cluster->sync, NULL))
		add_after(cluster->sync, 0);
}

/* Once for all that came in a turn of the loop. */
static void on_sync(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *cluster = arg;

	if (cluster->local_changed)
		cluster_local_read(cluster);
	cluster_read_networks(cluster);
	if (cluster->local_changed || cluster->behind_writes)
		cluster_write(cluster);
	cluster->local_changed = false;
	if (cluster->view.shared.partial) /* the rest is on its way */
		return;
	if (cluster->states_changed)
		cluster_register_states(cluster);
	cluster->states_changed = false;
	cluster_remote_apply(cluster);
	cluster_ipam(cluster);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *cluster = arg;

	cluster_write_tick(cluster);
	if (cluster->lingers)
		cluster_read_networks(cluster);
	hosts_tick(cluster->hosts);
	cluster_ipam_tick(cluster);
	if (cluster->reading && !cluster->view.shared.partial)
		view_purge(&cluster->view, cluster_now_ms(), cluster->lease[CLUSTER_ALIVE].ttl_s * 1000,
			cluster->lease[CLUSTER_LONG].ttl_s * 1000);
}

/* A key of the view counts from now on as it is. */
static void on_key(void *arg, struct view_key *key)
{
	struct cluster *cluster = arg;
	bool is_own = key->host && !strcmp(key->host->name, cluster->host);

	cluster_register_key(cluster, key);
	cluster_ipam_key(cluster, key);
	if (cluster->journal)
		cluster_kept_key(cluster, key);
	if (key->host)
		cluster_remote_key(cluster, key);
	cluster->states_changed = cluster->states_changed || !key->chunk;
	if (cluster->sync)
		cluster_touch(cluster, is_own);
}

/* Of the model, by anybody. */
static void on_change(void *arg, const char *method, const json_t *params)
{
	struct cluster *cluster = arg;

	if (cluster->applying)
		return;
	global_changed(cluster->global);
	if (strncmp(method, "vtep.", 5) == 0 || strncmp(method, "fdb.", 4) == 0)
		cluster_remote_dirty(cluster, param_str(params, "network"), true);
	else if (strncmp(method, "uplink.", 7) == 0)
		cluster_remote_dirty(cluster, NULL, false);
	else if (strncmp(method, "port.", 5) != 0 && strncmp(method, "network.", 8) != 0)
		return;
	cluster_touch(cluster, true);
}

static void on_leave(void *arg, const char *network)
{
	cluster_remote_leave(arg, network);
}

/* The first line of a file. */
static int read_password(const char *path, char text[PASSWORD], struct api_err *err)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return api_fail(err, API_INVALID, "cluster.password_file", "%s: %s", path, strerror(errno));
	if (!fgets(text, PASSWORD, file))
		text[0] = '\0';
	fclose(file);
	text[strcspn(text, "\r\n")] = '\0';
	return text[0] ? 0
		       : api_fail(err, API_INVALID, "cluster.password_file", "%s: its first line is empty",
				 path);
}

static int check_url(size_t i, const char *url, struct api_err *err)
{
	const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
			   : strncmp(url, "https://", 8) == 0 ? url + 8
							      : "";
	char field[48];

	snprintf(field, sizeof(field), "cluster.etcd[%zu]", i);
	if (!host[0] || strcspn(host, "/?#@ ") != strlen(host) || strlen(url) > 255)
		return api_fail(err, API_INVALID, field,
			"must be http:// or https://, a host and maybe a port: \"%.64s\"", url);
	return 0;
}

static int check_file(const json_t *part, const char *field, struct api_err *err)
{
	const char *path = param_str(part, field);
	char name[32];

	snprintf(name, sizeof(name), "cluster.%s", field);
	if (path && access(path, R_OK) < 0)
		return api_fail(err, API_INVALID, name, "%s: %s", path, strerror(errno));
	return 0;
}

/* It is on where nothing is said of it. */
static int read_bfd(const json_t *part, uint32_t *ms, uint8_t *multiplier, struct api_err *err)
{
	struct api_err why;

	*ms = BFD_MS;
	*multiplier = BFD_MULTIPLIER;
	if (peer_read(part, ms, multiplier, &why) < 0)
		return api_fail(err, API_INVALID, NULL, "cluster.%s", why.text);
	return 0;
}

int cluster_check(const json_t *part, struct api_err *err)
{
	const json_t *list = json_object_get(part, "etcd");
	const char *prefix = param_str(part, "prefix"), *file = param_str(part, "password_file");
	char password[PASSWORD];
	uint32_t ms;
	uint8_t multiplier;

	if (json_object_size(part) && !json_array_size(list))
		return api_fail(err, API_INVALID, "cluster.etcd", "missing");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (check_url(i, json_string_value(json_array_get(list, i)), err) < 0)
			return -1;
	if (prefix && prefix[strlen(prefix) - 1] == '/')
		return api_fail(err, API_INVALID, "cluster.prefix", "must not end with a slash");
	if (!param_given(part, "cert") != !param_given(part, "key"))
		return api_fail(err, API_INVALID, param_given(part, "cert") ? "cluster.key" : "cluster.cert",
			"missing: a certificate and its key go together");
	if (!param_given(part, "user") != !file)
		return api_fail(err, API_INVALID, file ? "cluster.user" : "cluster.password_file",
			"missing: a user and a password go together");
	if (read_bfd(part, &ms, &multiplier, err) < 0)
		return -1;
	if (param_int(part, "alive_s", ALIVE_S) > param_int(part, "lease_s", LEASE_S))
		return api_fail(err, API_INVALID, "cluster.alive_s", "must not be above lease_s");
	if (check_file(part, "ca", err) < 0 || check_file(part, "cert", err) < 0 ||
		check_file(part, "key", err) < 0)
		return -1;
	return file ? read_password(file, password, err) : 0;
}

static int open_etcd(struct cluster *cluster, const json_t *part, struct api_err *err)
{
	const json_t *list = json_object_get(part, "etcd");
	const char *members[ETCD_MEMBERS], *file = param_str(part, "password_file");
	char password[PASSWORD] = "";
	struct etcd_config config = {
		.base = cluster->base,
		.members = members,
		.tls = {param_str(part, "ca"), param_str(part, "cert"), param_str(part, "key")},
		.user = param_str(part, "user"),
		.password = password,
	};

	if (file && read_password(file, password, err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list) && i < ETCD_MEMBERS; i++)
		members[config.nmembers++] = json_string_value(json_array_get(list, i));
	cluster->etcd = etcd_open(&config);
	return cluster->etcd ? 0 : api_fail(err, API_INTERNAL, NULL, "out of memory");
}

/* A host name may have what a name must not. */
static void own_name(char name[VALUE_NAME])
{
	char text[256] = "";
	size_t n = 0;

	gethostname(text, sizeof(text) - 1);
	for (const char *c = text; *c && n < VALUE_NAME - 1; c++) {
		char small = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;

		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789", small) || (n && strchr("._-", small)))
			name[n++] = small;
	}
	name[n] = '\0';
	if (!n)
		strcpy(name, "host");
}

static int read_part(struct cluster *cluster, const json_t *part)
{
	const char *prefix = param_str(part, "prefix"), *host = param_str(part, "host"),
		   *zone = param_str(part, "zone"), *unknown = param_str(part, "unknown");
	struct api_err ignored;

	if (host)
		snprintf(cluster->host, sizeof(cluster->host), "%s", host);
	else
		own_name(cluster->host);
	snprintf(cluster->zone, sizeof(cluster->zone), "%s", zone ? zone : "");
	read_bfd(part, &cluster->bfd_ms, &cluster->bfd_multiplier, &ignored); /* checked already */
	cluster->floods = unknown && strcmp(unknown, "flood") == 0;
	cluster->lease[CLUSTER_ALIVE].ttl_s = param_int(part, "alive_s", ALIVE_S);
	cluster->lease[CLUSTER_LONG].ttl_s = param_int(part, "lease_s", LEASE_S);
	return asprintf(&cluster->prefix, "%s/", prefix ? prefix : DEFAULT_PREFIX) < 0 ? -1 : 0;
}

static int open_parts(struct cluster *cluster)
{
	static const struct timeval second = {.tv_sec = 1};

	cluster->sync = evtimer_new(cluster->base, on_sync, cluster);
	cluster->tick = event_new(cluster->base, -1, EV_PERSIST, on_tick, cluster);
	if (cluster_register_open(cluster) < 0 || !cluster->sync || !cluster->tick ||
		cluster_read_open(cluster) < 0 || cluster_write_open(cluster) < 0)
		return -1;
	return event_add(cluster->tick, &second);
}

static int join_global(struct cluster *cluster)
{
	char prefix[CLUSTER_PREFIX], ports[VIEW_KEY + CLUSTER_PREFIX];
	const struct global_store store = {.etcd = cluster->etcd,
		.prefix = prefix,
		.host = cluster->host,
		.ports = cluster_key(cluster, VIEW_NET, ports, sizeof(ports))};

	cluster->global = global_of(cluster->model);
	snprintf(prefix, sizeof(prefix), "%.*s", (int)strlen(cluster->prefix) - 1, cluster->prefix);
	return cluster->global ? global_join(cluster->global, &store) : 0;
}

int cluster_open(struct event_base *base, struct model *model, struct consul *consul, const json_t *part,
	const char *dir, struct cluster **out, struct api_err *err)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	if (!cluster)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	cluster->base = base;
	cluster->model = model;
	cluster->behind_writes = true;
	cluster->ipam = calloc(1, sizeof(*cluster->ipam));
	if (!cluster->ipam || read_part(cluster, part) < 0) {
		cluster_close(cluster);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	view_open(&cluster->view, cluster->host, on_key, cluster);
	if (open_etcd(cluster, part, err) < 0 || cluster_kept_open(cluster, dir, err) < 0) {
		cluster_close(cluster);
		return -1;
	}
	if (open_parts(cluster) < 0 || cluster_keys_open(cluster, consul) < 0 || join_global(cluster) < 0) {
		cluster_close(cluster);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	cluster->shown = (struct model_cluster){
		.arg = cluster,
		.changed = on_change,
		.leave = on_leave,
		.own = cluster_ipam_own,
		.more = cluster_ipam_more,
		.status = cluster_show_status,
		.hosts = cluster_show_hosts,
		.keys = cluster_show_keys,
		.forget = cluster_forget,
	};
	model_cluster_attach(model, &cluster->shown);
	cluster_local_read(cluster);
	cluster_read_networks(cluster);
	cluster_remote_apply(cluster);
	cluster->opened = true;
	*out = cluster;
	return 0;
}

void cluster_close(struct cluster *cluster)
{
	if (!cluster)
		return;
	model_cluster_attach(cluster->model, NULL);
	consul_unshare(cluster->consul);
	global_leave(cluster->global);
	cluster_read_close(cluster);
	etcd_close(cluster->etcd);
	cluster_write_close(cluster);
	cluster_local_close(cluster);
	cluster_remote_close(cluster);
	cluster_register_close(cluster);
	if (cluster->journal)
		journal_forget(cluster->journal, cluster);
	cluster_ipam_close(cluster);
	cluster_forget_close(cluster);
	view_close(&cluster->view);
	journal_close(cluster->journal);
	if (cluster->tick)
		event_free(cluster->tick);
	if (cluster->sync)
		event_free(cluster->sync);
	free(cluster->prefix);
	free(cluster);
}
