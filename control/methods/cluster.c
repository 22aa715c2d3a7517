/*
 * Hosts that share an etcd, and what this one knows of them. The cluster itself is control/cluster's.
 */
#include "control/base/params.h"
#include "control/methods/list.h"
#include "control/model/objects.h"

/* What `of` makes of the cluster. */
static int show(struct model *model, json_t *(*of)(void *arg), json_t **result, struct api_err *err)
{
	*result = of(model->cluster->arg);
	return *result ? 0 : api_fail(err, API_INTERNAL, NULL, "out of memory");
}

static int need_cluster(struct model *model, struct api_err *err)
{
	return model->cluster ? 0
			      : api_fail(err, API_NOT_FOUND, "cluster",
					"the configuration names no etcd, so this host is alone");
}

static API_HANDLER(host_list)
{
	return need_cluster(model, err) < 0 ? -1 : show(model, model->cluster->hosts, result, err);
}

static API_HANDLER(cluster_status)
{
	return need_cluster(model, err) < 0 ? -1 : show(model, model->cluster->status, result, err);
}

static API_HANDLER(cluster_dump)
{
	return need_cluster(model, err) < 0 ? -1 : show(model, model->cluster->keys, result, err);
}

static API_HANDLER(host_forget)
{
	return need_cluster(model, err) < 0
		       ? -1
		       : model->cluster->forget(model->cluster->arg, param_str(params, "name"), result, err);
}

#define HOST_COLUMNS "host,address,zone,state,seen_s,endpoints,instances,self"
#define KEY_COLUMNS "key,revision,lease,state"

const struct api_method cluster_methods[] = {
	{"host.list", "List the hosts of the cluster", NULL, host_list, false, HOST_COLUMNS},
	{"host.forget", "Free the addresses of a host that does not come back",
		API_FIELDS({"name", API_NAME, "of a host that is not alive", .required = true,
			.positional = true}),
		host_forget, true},
	{"cluster.status", "Tell whether etcd is there, and how old what is known of it is", NULL,
		cluster_status, false},
	{"cluster.dump", "List what this host knows of etcd's keys", NULL, cluster_dump, false, KEY_COLUMNS},
	{NULL},
};
