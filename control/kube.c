#include "control/kube.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/host/ways.h"
#include "control/kube_peers.h"
#include "control/kube_server.h"
#include "control/model/model.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "registry/base/listen.h"
#include "registry/source/kubernetes/kubernetes.h"
#include "registry/store/journal.h"

struct kube {
	struct model *model;
	struct kubernetes *source;
	struct ways *ways;
	struct kube_peers *nodes; /* NULL: pods of others do not matter */
	struct journal *journal;  /* NULL: nothing outlives the daemon */
	char network[MODEL_NAME];
};

/* Where the network reaches over nodes. */
static int open_nodes(struct kube *kube, struct kubernetes_config *config, struct api_err *err)
{
	if (!kube_peers_reach(model_network(kube->model, kube->network)))
		return 0;
	if (!config->node)
		return api_fail(err, API_INVALID, "kubernetes.node",
			"required: network %s has a vni, so pods of other nodes belong to it", kube->network);
	config->nodes = kube_peers_set;
	config->nodes_arg = kube->nodes = kube_peers_open(kube->model, kube->network, config->node);
	return kube->nodes ? 0 : api_fail(err, API_INTERNAL, NULL, "out of memory");
}

static void copy_way(const struct kubernetes_way *from, struct way *to)
{
	*to = (struct way){
		.address = from->address,
		.to = from->to,
		.port = from->port,
		.to_port = from->to_port,
		.near_port = from->near_port,
		.protocol = reg_protocol_name((enum reg_protocol)from->protocol),
		.masquerade = from->masquerade,
		.limited = from->limited,
		.nfrom = from->nfrom,
		.from = from->from,
	};
}

static int set(struct kube *kube, const struct model_network *network, const struct kubernetes_ways *ways,
	char why[KUBERNETES_WHY])
{
	struct way *list = calloc(ways->n ? ways->n : 1, sizeof(*list));
	struct ways_spec spec = {
		.ifname = network->gateway.ifname,
		.subnet = network_spec_subnet(&network->spec, false),
		.subnet6 = network_spec_subnet(&network->spec, true),
		.list = list,
		.n = ways->n,
		.vips = ways->vips,
		.nvip = ways->nvip,
	};
	bool began = false;
	int rc = -1;

	if (!list) {
		snprintf(why, KUBERNETES_WHY, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < ways->n; i++)
		copy_way(&ways->list[i], &list[i]);
	if (!ways->n || forwarding_begin(&began, why) == 0)
		rc = ways_set(kube->ways, &spec, why);
	if (began)
		log_line(LOG_WARNING,
			"kubernetes: this host forwards packets from now on (net.ipv4.ip_forward)");
	free(list);
	return rc;
}
static_assert((int)KUBERNETES_WHY == (int)RULESET_WHY && (int)KUBERNETES_WHY == (int)FORWARDING_WHY,
	"a reason has room");

/* Only a network of mode host is reached by the host's kernel. */
static bool lead(void *arg, const struct kubernetes_ways *ways, char why[KUBERNETES_WHY])
{
	struct kube *kube = arg;
	const struct model_network *network = model_network(kube->model, kube->network);

	if (!network || network->spec.mode != DP_HOST || !network->has_gateway) {
		snprintf(why, KUBERNETES_WHY, "network %s is not of mode host", kube->network);
		return !ways->n;
	}
	return set(kube, network, ways, why) == 0;
}

/* All of it can be had from the server: without the file the daemon starts, and knows nothing while that is away. */
static struct journal *open_journal(struct event_base *base, struct registry *registry, const char *dir)
{
	struct journal *journal;
	struct reg_err why;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/kubernetes.journal", dir);
	if (journal_open(base, path, registry, &journal, &why) == 0)
		return journal;
	log_line(LOG_ERR, "kubernetes: what the API server says is not kept: %s", why.text);
	return NULL;
}

static int open_at(struct event_base *base, struct model *model, const json_t *part,
	const struct kube_server *server, const char *dir, struct kube **out, struct api_err *err)
{
	const char *network = param_str(part, "network");
	struct kube *kube;
	struct kubernetes_config config = {.base = base,
		.reg = model_registry(model),
		.api = server->api,
		.token_file = server->token_file,
		.token = server->token,
		.tls = server->tls,
		.node = param_str(part, "node"),
		.network = network,
		.healthz = param_str(part, "healthz"),
		.lead = lead};

	if (!model_network(model, network))
		return api_fail(err, API_NOT_FOUND, "kubernetes.network", "no network \"%s\"", network);
	config.lead_arg = kube = calloc(1, sizeof(*kube));
	if (kube) {
		kube->model = model;
		snprintf(kube->network, sizeof(kube->network), "%s", network);
		kube->ways = ways_open();
		config.journal = kube->journal = open_journal(base, config.reg, dir);
		if (open_nodes(kube, &config, err) < 0) {
			kube_close(kube);
			return -1;
		}
	}
	if (!kube || !kube->ways || kubernetes_open(&config, &kube->source) < 0) {
		kube_close(kube);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	model_kubernetes(model, kube->source);
	*out = kube;
	return 0;
}

int kube_open(struct event_base *base, struct model *model, const json_t *part, const char *dir,
	struct kube **out, struct api_err *err)
{
	struct kube_server server;
	int rc;

	*out = NULL;
	if (kube_server_read(part, &server, err) < 0)
		return -1;
	rc = server.api ? open_at(base, model, part, &server, dir, out, err) : 0;
	kube_server_free(&server);
	return rc;
}

int kube_check(const json_t *part, struct api_err *err)
{
	bool given = param_given(part, "api") || param_given(part, "kubeconfig");
	const char *healthz = param_str(part, "healthz");
	struct kube_server server;
	struct sockaddr_storage at;
	socklen_t size;
	bool any;

	if (!given && json_object_size(part))
		return api_fail(err, API_INVALID, "kubernetes.api",
			"required by what is beside it, or else kubeconfig");
	if (!given)
		return 0;
	if (kube_server_read(part, &server, err) < 0)
		return -1;
	kube_server_free(&server);
	if (!param_given(part, "network"))
		return api_fail(err, API_INVALID, "kubernetes.network", "required: pods are in one network");
	if (healthz && (!listen_read(healthz, &at, &size, &any) || any))
		return api_fail(err, API_INVALID, "kubernetes.healthz", "must be ADDRESS:PORT");
	return 0;
}

void kube_close(struct kube *kube)
{
	if (!kube)
		return;
	model_kubernetes(kube->model, NULL);
	kubernetes_close(kube->source);
	kube_peers_close(kube->nodes);
	ways_close(kube->ways);
	journal_close(kube->journal);
	free(kube);
}
