#include "bench/run/changes.h"

#include <err.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/report/scenario.h"

/* Thread. */
static void *make_changes(void *arg)
{
	struct changes *c = arg;
	uint64_t start = host_tsc();

	do {
		c->rc = peer_change(c->s->peer, c->kind, c->count, c->error);
		c->made += c->rc > 0 ? c->rc : 0;
		c->seconds = (double)(host_tsc() - start) / host_tsc_hz();
	} while (c->rc > 0 && c->seconds < c->s->o->seconds && !atomic_load(c->s->stop));
	atomic_store(&c->done, true);
	return NULL;
}

void changes_begin(struct changes *c)
{
	c->begun = c->kind && pthread_create(&c->thread, NULL, make_changes, c) == 0;
}

bool changes_going_on(const struct changes *c)
{
	return c->begun && !atomic_load(&c->done);
}

void changes_end(struct changes *c)
{
	if (c->begun)
		pthread_join(c->thread, NULL);
}

int changes_report(const struct changes *c, struct trial *t)
{
	if (c->kind && c->rc < 0 && !atomic_load(c->s->stop)) {
		warnx("%s: %s: %s", c->s->peer->name, c->kind, c->error);
		return c->rc;
	}
	if (c->made > 0) {
		t->value[METRIC_CHANGES] = c->made;
		t->value[METRIC_CHANGE] = 1e3 * c->seconds / c->made;
	}
	return 0;
}
