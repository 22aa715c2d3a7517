/*
 * keep.c: what the server said last, for a daemon that starts while the server is away: of each object what is read of it,
 * in a journal. When the server is heard again everything comes from it, and what it does not name is gone.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/kubernetes/inside.h"
#include "registry/store/journal.h"

enum {
	KEPT = 1 << 20, /* bytes of an object; a slice with all its endpoints has less than half of that */
	KEEP_KEY = 16 + KUBE_SLICE_KEY,
};

/* Other keys than those of objects, which have a space in them. */
#define API "api"
#define WHOLE "whole" /* all that there is was heard of once */

static const char *const kinds[KUBE_FOLLOWS] = {
	[KUBE_SERVICES_OF] = "service", [KUBE_SLICES_OF] = "slice", [KUBE_NODE_OF] = "node"};

static const char *const service_keys[] = {"type", "clusterIPs", "ports", "externalIPs", "sessionAffinity",
	"sessionAffinityConfig", "internalTrafficPolicy", "externalTrafficPolicy", "loadBalancerSourceRanges",
	"healthCheckNodePort", NULL};
static const char *const status_keys[] = {"loadBalancer", NULL};
static const char *const slice_keys[] = {"addressType", "ports", NULL};
static const char *const endpoint_keys[] = {"addresses", "conditions", "nodeName", "hints", NULL};
static const char *const node_keys[] = {"podCIDR", "podCIDRs", NULL};
static const char *const node_status_keys[] = {"addresses", NULL};
static const char *const node_annotations[] = {KUBERNETES_VTEP, NULL};
static const char *const metadata_keys[] = {"namespace", "name", "labels", NULL};

static json_t *pick(const json_t *from, const char *const *keys)
{
	json_t *to = json_object();

	for (; *keys; keys++) {
		json_t *value = json_object_get(from, *keys);

		if (value)
			json_object_set(to, *keys, value);
	}
	return to;
}

static json_t *pick_slice(const json_t *object)
{
	json_t *to = pick(object, slice_keys), *list = json_array();
	const json_t *endpoint;
	size_t i;

	json_array_foreach (json_object_get(object, "endpoints"), i, endpoint) {
		if (i == KUBE_ENDPOINTS)
			break;
		json_array_append_new(list, pick(endpoint, endpoint_keys));
	}
	json_object_set_new(to, "endpoints", list);
	return to;
}

static void pick_node(json_t *to, const json_t *object)
{
	json_object_set_new(to, "spec", pick(json_object_get(object, "spec"), node_keys));
	json_object_set_new(to, "status", pick(json_object_get(object, "status"), node_status_keys));
	json_object_set_new(json_object_get(to, "metadata"), "annotations",
		pick(json_object_get(json_object_get(object, "metadata"), "annotations"), node_annotations));
}

/* To be freed; NULL: it is too much to be kept, or there is no memory. */
static char *text_of(unsigned which, const json_t *object)
{
	json_t *to = which == KUBE_SLICES_OF ? pick_slice(object) : json_object();
	char *text;

	json_object_set_new(to, "metadata", pick(json_object_get(object, "metadata"), metadata_keys));
	if (which == KUBE_SERVICES_OF) {
		json_object_set_new(to, "spec", pick(json_object_get(object, "spec"), service_keys));
		json_object_set_new(to, "status", pick(json_object_get(object, "status"), status_keys));
	}
	if (which == KUBE_NODE_OF)
		pick_node(to, object);
	text = json_dumps(to, JSON_COMPACT);
	json_decref(to);
	if (text && strlen(text) > KEPT) {
		free(text);
		return NULL;
	}
	return text;
}

void kube_keep(struct kubernetes *k, unsigned which, const char *key, const json_t *object)
{
	char name[KEEP_KEY], *text;
	const char *before;

	if (!k->journal || k->restoring)
		return;
	snprintf(name, sizeof(name), "%s %s", kinds[which], key);
	text = object ? text_of(which, object) : NULL;
	before = journal_get(k->journal, name);
	if (text ? !before || strcmp(before, text) != 0 : before != NULL)
		journal_put(k->journal, name, text);
	free(text);
}

static void restore(struct kubernetes *k, unsigned which, const char *key, const char *value)
{
	size_t len = strlen(kinds[which]);
	json_t *object;

	if (strncmp(key, kinds[which], len) != 0 || key[len] != ' ')
		return;
	object = json_loads(value, 0, NULL);
	if (object)
		kube_kinds[which]->put(k, object);
	json_decref(object);
}

static void restore_node(void *arg, const char *key, const char *value)
{
	restore(arg, KUBE_NODE_OF, key, value);
}

static void restore_all(void *arg, const char *key, const char *value)
{
	restore(arg, KUBE_SERVICES_OF, key, value);
	restore(arg, KUBE_SLICES_OF, key, value);
}

static void forget(void *arg, const char *key, const char *value)
{
	struct kubernetes *k = arg;

	journal_put(k->journal, key, NULL);
}

void kube_keep_whole(struct kubernetes *k)
{
	if (k->journal && !journal_get(k->journal, WHOLE))
		journal_put(k->journal, WHOLE, "1");
}

/* What another server has said is nothing to this one. What was not heard to its end is known, and waits for the rest. */
void kube_keep_open(struct kubernetes *k, struct journal *journal)
{
	const char *api = journal_get(journal, API);

	k->journal = journal;
	if (!journal)
		return;
	if (!api || strcmp(api, k->api) != 0) {
		journal_restore(journal, forget, k);
		journal_put(journal, API, k->api);
		return;
	}
	k->restoring = true;
	journal_restore(journal, restore_node, k); /* which says what endpoints are near */
	journal_restore(journal, restore_all, k);
	k->restoring = false;
	k->restored = journal_get(journal, WHOLE) != NULL;
	if (k->restored)
		event_active(k->turn, 0, 0);
}
