/* peer.c: the hosts that BFD watches. */
#include <event2/buffer.h>
#include <stdlib.h>

#include "control/metrics/metrics.h"
#include "control/model/objects.h"

static void write_value(struct metrics *m, const struct dp_peer *peer, double value)
{
	char remote[IP_TEXT];

	metrics_value(m, "remote", ip_text(peer->remote, remote), value);
}

void metrics_write_peers(struct metrics *m)
{
	struct dp_peer *peers = calloc(METRICS_EACH, sizeof(*peers));
	struct dp_peers_sum sum;
	size_t n, all;

	if (!peers)
		return;
	all = dp_peers(m->model->dp, peers, METRICS_EACH);
	n = all < METRICS_EACH ? all : METRICS_EACH;
	m->left_off += all - n;
	dp_peers_sum(m->model->dp, &sum);
	metrics_family(m, "sluice_peer_up", "Does the host answer BFD?");
	for (size_t i = 0; i < n; i++)
		write_value(m, &peers[i], peers[i].up);
	metrics_family(m, "sluice_peer_cut", "1: it was up and is lost, and nothing is sent to it.");
	for (size_t i = 0; i < n; i++)
		write_value(m, &peers[i], peers[i].cut);
	metrics_family(m, "sluice_peer_downs_total", "How often it was lost.");
	for (size_t i = 0; i < n; i++)
		write_value(m, &peers[i], peers[i].downs);
	metrics_single(
		m, "sluice_peers_hold", "1: so many hosts were lost at once that none is cut off.", sum.hold);
	metrics_single(m, "sluice_peers_holds_total", "How often that began.", sum.holds);
	free(peers);
}
