/* kubernetes.c: opens and closes, and says when what is known is whole enough to be in effect. */
#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/fetch.h"
#include "registry/base/text.h"
#include "registry/source/kubernetes/inside.h"

const struct kube_kind *const kube_kinds[KUBE_FOLLOWS] = {
	[KUBE_SERVICES_OF] = &kube_kind_services,
	[KUBE_SLICES_OF] = &kube_kind_slices,
	[KUBE_NODE_OF] = &kube_kind_nodes,
};

static bool is_synced(const struct kubernetes *k, unsigned which)
{
	return kube_follow_synced(k->follows[which]);
}

/* Where is this node? Not known, if the server will not tell. */
static bool is_placed(const struct kubernetes *k)
{
	const struct kube_follow *node = k->follows[KUBE_NODE_OF];
	int64_t ignored;

	return !node || kube_follow_synced(node) || kube_follow_why(node, &ignored);
}

/* Services without endpoints, endpoints of nobody, and those of all zones for a moment, help nobody. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct kubernetes *k = arg;
	bool heard = is_synced(k, KUBE_SERVICES_OF) && is_synced(k, KUBE_SLICES_OF);

	if (heard)
		kube_keep_whole(k);
	if (k->restored || (heard && is_placed(k)))
		kube_apply(k);
}

/* One of our instances has left the registry. */
static void on_gone(void *arg, const char *service, const struct reg_backend *backend)
{
	struct kubernetes *k = arg;

	if (k->applies)
		return;
	k->lost = true;
	event_active(k->turn, 0, 0);
}

static bool select_node(struct kubernetes *k)
{
	char *escaped = k->node && !k->nodes ? curl_easy_escape(NULL, k->node, 0) : NULL;
	bool done = !k->node || k->nodes ||
		    (escaped && snprintf(k->of_node, sizeof(k->of_node), "fieldSelector=metadata.name%%3D%s",
					escaped) < (int)sizeof(k->of_node));

	curl_free(escaped);
	return done;
}

int kubernetes_open(const struct kubernetes_config *config, struct kubernetes **out)
{
	struct kubernetes *k = calloc(1, sizeof(*k));
	bool done;

	if (!k)
		return -ENOMEM;
	k->base = config->base;
	k->reg = config->reg;
	k->source =
		(struct registry_source){.name = KUBE_SOURCE, .arg = k, .everywhere = true, .gone = on_gone};
	registry_source_add(k->reg, &k->source);
	TAILQ_INIT(&k->changed);
	k->turn = event_new(k->base, -1, 0, on_turn, k);
	k->fetcher = fetch_open_web(k->base, &config->tls);
	done = k->turn && k->fetcher && text_copy(&k->api, config->api) &&
	       text_copy(&k->token_file, config->token_file) && text_copy(&k->token, config->token) &&
	       text_copy(&k->node, config->node) && text_copy(&k->network, config->network) &&
	       kube_nodes_open(k, config) == 0 && select_node(k) && kube_lead_open(k, config) == 0 &&
	       kube_health_open(k, config->healthz) == 0;
	if (done)
		kube_keep_open(k, config->journal);
	for (unsigned i = 0; i < KUBE_FOLLOWS && done; i++)
		if (k->node || !kube_kinds[i]->of_node)
			done = (k->follows[i] = kube_follow_open(k, kube_kinds[i])) != NULL;
	if (!done) {
		kubernetes_close(k);
		return -ENOMEM;
	}
	*out = k;
	return 0;
}

void kubernetes_close(struct kubernetes *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < KUBE_FOLLOWS; i++)
		kube_follow_close(k->follows[i]);
	registry_source_del(k->reg, &k->source);
	fetch_close(k->fetcher);
	kube_lead_close(k);
	kube_health_close(k);
	kube_nodes_close(k);
	kube_table_free(k);
	if (k->turn)
		event_free(k->turn);
	free(k->api);
	free(k->token_file);
	free(k->token);
	free(k->node);
	free(k->network);
	free(k);
}

struct kubernetes_info kubernetes_info(const struct kubernetes *k)
{
	struct kubernetes_info info = {
		.synced = true,
		.services = HASH_COUNT(k->services),
		.slices = HASH_COUNT(k->slices),
		.endpoints = k->endpoints,
		.left_out = kube_left_count(k->left_out[0]) + kube_left_count(k->left_out[1]),
	};

	info.nodes_why = kube_nodes_why(k, &info.nodes);
	info.ways_why = kube_lead_why(k, &info.ways, &info.ways_due);
	for (unsigned i = 0; i < KUBE_FOLLOWS; i++) {
		const char *why;
		int64_t since_s;

		if (!k->follows[i])
			continue;
		info.synced = info.synced && kube_follow_synced(k->follows[i]);
		why = kube_follow_why(k->follows[i], &since_s);
		if (!i || (why && !info.why) || (!info.why && since_s < info.since_s)) {
			info.why = why;
			info.since_s = since_s;
		}
	}
	return info;
}
