/* peer.c: the hosts that BFD watches. */
#include <event2/buffer.h>
#include <stdlib.h>

#include "control/metrics/metrics.h"
#include "control/model/objects.h"

static void write_value(const struct dp_peer *peer, const char *name, double value, struct evbuffer *out)
{
	char remote[IP_TEXT];

	metrics_value(out, name, "remote", ip_text(peer->remote, remote), NULL, NULL, value);
}

void metrics_write_peers(struct metrics *metrics, struct evbuffer *out)
{
	struct dp_peer *peers = calloc(METRICS_EACH, sizeof(*peers));
	struct dp_peers_sum sum;
	size_t n, all;

	if (!peers)
		return;
	all = dp_peers(metrics->model->dp, peers, METRICS_EACH);
	n = all < METRICS_EACH ? all : METRICS_EACH;
	metrics->left_off += all - n;
	dp_peers_sum(metrics->model->dp, &sum);
	metrics_family(out, "sluice_peer_up", METRICS_GAUGE, "Does the host answer BFD?");
	for (size_t i = 0; i < n; i++)
		write_value(&peers[i], "sluice_peer_up", peers[i].up, out);
	metrics_family(out, "sluice_peer_cut", METRICS_GAUGE,
		"1: it was up and is lost, and nothing is sent to it.");
	for (size_t i = 0; i < n; i++)
		write_value(&peers[i], "sluice_peer_cut", peers[i].cut, out);
	metrics_family(out, "sluice_peer_downs_total", METRICS_COUNTER, "How often it was lost.");
	for (size_t i = 0; i < n; i++)
		write_value(&peers[i], "sluice_peer_downs_total", (double)peers[i].downs, out);
	metrics_single(out, "sluice_peers_hold", METRICS_GAUGE,
		"1: so many hosts were lost at once that none is cut off.", sum.hold);
	metrics_single(
		out, "sluice_peers_holds_total", METRICS_COUNTER, "How often that began.", (double)sum.holds);
	free(peers);
}
