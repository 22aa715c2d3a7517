/* cluster.c: hosts that share an etcd; nothing where this one is alone. */
#include <event2/buffer.h>
#include <jansson.h>

#include "control/metrics/metrics.h"
#include "control/model/objects.h"

static const struct {
	const char *name, *field, *help;
} gauges[] = {
	{"sluice_cluster_age_seconds", "age_s", "Since etcd was last heard; 0 while it is there."},
	{"sluice_cluster_revision", "revision", "Of etcd's, as far as this host knows it."},
	{"sluice_cluster_hosts", "hosts", "That are known."},
	{"sluice_cluster_panic", "panic", "Are so many hosts lost at once that none of them counts as gone?"},
	{"sluice_cluster_waiting", "waiting", "Is something of this host not in etcd yet?"},
	{"sluice_cluster_unplaced", "unplaced",
		"MACs of other hosts that clash with one here, or found no room."},
};

static double number_of(const json_t *value)
{
	return json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
}

void metrics_write_cluster(struct metrics *m)
{
	const struct model_cluster *cluster = m->model->cluster;
	json_t *status = cluster ? cluster->status(cluster->arg) : NULL;

	for (size_t i = 0; status && i < sizeof(gauges) / sizeof(gauges[0]); i++)
		metrics_single(m, gauges[i].name, gauges[i].help,
			number_of(json_object_get(status, gauges[i].field)));
	json_decref(status);
}
