/*
 * bulk: TCP between namespaces that are attached to the switch by its kinds of port, with the offloads of the
 * interfaces on and off. The peer names the ends that it has (peer.h); what it has not is left out.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/client/stream.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"

static const struct {
	const char *variant, *from, *to;
} ways[] = {
	{"local", "c1", "c2"}, /* as the switch attaches containers best */
	{"to remote", "c1", "remote"},
	{"from remote", "remote", "c1"},
	{"local, plain", "p1", "p2"}, /* the same, and their interfaces leave nothing to the switch */
	{"to remote, plain", "p1", "remote"},
	{"from remote, plain", "remote", "p1"},
	{"packet to packet", "v1", "v2"}, /* by packet sockets on veths */
	{"packet to tap", "v1", "c1"},
	{"tap to packet", "c1", "v1"},
	{"packet to remote", "v1", "remote"},
	{"remote to packet", "remote", "v1"},
};

struct bulk {
	struct session *s;
	const struct stream_end *from, *to;
	int rc;
	char error[256];
};

static const struct stream_end *find(const struct peer *p, const char *name)
{
	for (unsigned i = 0; i < p->n_ends; i++)
		if (strcmp(p->end[i].name, name) == 0)
			return &p->end[i];
	return NULL;
}

static void run(void *arg, double seconds, struct generator_result *result)
{
	struct bulk *b = arg;
	const struct options *o = b->s->o;
	struct stream_result got;
	/* a switch with a thread of its own keeps that one's core; the kernel's is whoever sends */
	int core = b->s->peer->pid > 0 ? o->generator_core : -1;

	b->rc = stream_run(b->from, b->to, b->s->kind.count, core, o->warm_up, seconds, &got, b->error);
	*result = (struct generator_result){
		.seconds = got.seconds, .sent = got.bytes, .received = got.bytes, .wrong = got.wrong};
}

static int take_trial(struct session *s, struct bulk *b)
{
	struct trial t;

	measure_trial(s, run, b, &t);
	if (atomic_load(s->stop))
		return 0;
	if (b->rc < 0) {
		warnx("%s: %s", s->peer->name, b->error);
		return b->rc;
	}
	t.paced = true;		/* the kernels of the ends are as busy as the switch */
	t.worker_share_pct = 0; /* it may sleep */
	t.value[METRIC_GBPS] = t.seconds > 0 ? 8e-9 * (double)t.sent / t.seconds : 0;
	t.value[METRIC_MPPS] = t.value[METRIC_CYCLES] = t.value[METRIC_BUSY] = NAN;
	t.n_stages = 0;
	return report_add(s->report, &t);
}

int bulk_take(struct session *s)
{
	int rc = 0;

	if (s->peer->n_ends == 0)
		return -ENOTSUP;
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]) && rc == 0; i++) {
		struct bulk b = {
			.s = s, .from = find(s->peer, ways[i].from), .to = find(s->peer, ways[i].to)};

		measure_variant(s, ways[i].variant);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && b.from && b.to && !atomic_load(s->stop);
			k++)
			rc = take_trial(s, &b);
	}
	return rc;
}
