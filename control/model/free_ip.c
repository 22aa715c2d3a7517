#include "control/model/free_ip.h"

#include <stdlib.h>
#include <string.h>

bool free_ip_is_shared(const struct model *model, const struct model_network *network)
{
	return model->clustered && network->spec.mode == DP_OVERLAY;
}

void free_ip_walk(struct model *model, const struct model_network *network, struct ip_prefix within,
	bool (*fn)(void *arg, struct ip_addr ip), void *arg)
{
	if (model->cluster)
		model->cluster->own(model->cluster->arg, network, within, fn, arg);
}

int free_ip_more(struct model *model, const struct model_network *network, struct ip_prefix within,
	struct api_err *err)
{
	if (model->cluster)
		return model->cluster->more(model->cluster->arg, network, within, err);
	return api_fail(err, API_INVALID, "ips",
		"missing: the cluster, which gives addresses of network %s, is not asked before all of the "
		"configuration is there",
		network->name);
}

struct search {
	struct model *model;
	const struct model_network *network;
	const struct ip_addr *taken; /* sorted */
	size_t n;
	struct ip_addr found;
};

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

static bool take(void *arg, struct ip_addr ip)
{
	struct search *search = arg;
	const struct model *model = search->model;

	if (bsearch(&ip, search->taken, search->n, sizeof(ip), by_address) ||
		(model->reserved && model->reserved(model->reserved_arg, search->network, ip)))
		return false;
	search->found = ip;
	return true;
}

int free_ip_choose(struct model *model, const struct model_network *network, struct ip_prefix within,
	struct ip_addr *out, struct api_err *err)
{
	struct search search = {.model = model, .network = network};
	bool shared = free_ip_is_shared(model, network);
	char text[ADDR_IP_PREFIX_TEXT];
	struct ip_addr *taken = model_ips(model, network, &search.n);

	if (!taken)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	search.taken = taken;
	if (shared) {
		qsort(taken, search.n, sizeof(*taken), by_address);
		free_ip_walk(model, network, within, take, &search);
	} else {
		search.found = addr_next_free(within, taken, search.n);
	}
	free(taken);
	*out = search.found;
	if (!ip_is_none(search.found))
		return 0;
	return shared ? free_ip_more(model, network, within, err)
		      : api_fail(err, API_IN_USE, "ips", "no free address left in %s",
				addr_ip_prefix_text(within, text));
}
