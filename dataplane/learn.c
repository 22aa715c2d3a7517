#include "dataplane/dp.h"
#include "dataplane/fdb.h"
#include "dataplane/parse.h"
#include "dataplane/pipeline.h"

/* The router MAC as the low bits of a key. */
static inline uint64_t router_key(void)
{
	return fdb_key(0, dp_router_mac);
}

/* What is learned of frames of one network and one origin: the same for a whole burst as a rule. */
struct lesson {
	uint16_t net, src_vtep;
	bool learns;
	uint16_t target, gen;
	uint8_t flags;
	uint64_t untagged;
};

static void prepare(
	struct lesson *lesson, const struct worker *w, const struct burst *b, const struct frame *f)
{
	const struct network *net = dp_get_net(w->dp, f->net);

	lesson->net = f->net;
	lesson->src_vtep = f->src_vtep;
	lesson->learns = net && net->mode != DP_P2P;
	lesson->target = f->src_vtep == VTEP_NONE ? b->in->id : f->src_vtep;
	lesson->flags = f->src_vtep == VTEP_NONE ? 0 : FDB_VTEP;
	lesson->gen = net ? net->flush_gen : 0;
	lesson->untagged = fdb_untagged(lesson->target, lesson->flags, (uint16_t)w->now_s, lesson->gen);
}

/*
 * Refuses source addresses that no guest may have. The router MAC belongs to the gateway port alone: were it
 * learned anywhere else, a guest or a remote host could draw everybody's traffic to itself.
 */
static void learn_odd(const struct burst *b, struct frame *f, uint64_t mac)
{
	if (mac != router_key() || !b->in->is_gateway)
		frame_drop(f, DROP_SOURCE_MAC);
}

void learn_stage(struct worker *w, struct burst *b)
{
	struct fdb *fdb = w->dp->fdb;
	struct lesson lesson = {.net = NET_NONE};

	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		uint64_t key = fdb_frame_key(f->net, frame_data(f) + 6), mac = key & FDB_MAC;

		if (f->verdict != V_NONE)
			continue;
		if (f->net != lesson.net || f->src_vtep != lesson.src_vtep)
			prepare(&lesson, w, b, f);
		fdb_prefetch(fdb, fdb_frame_key(f->net, frame_data(f))); /* for the lookup stage */
		if (!lesson.learns)
			continue;
		if (__builtin_expect((mac & FDB_GROUP) || !mac || mac == router_key(), 0))
			learn_odd(b, f, mac);
		else if (__builtin_expect(!fdb_is_fresh(fdb, key, lesson.untagged), 0))
			fdb_learn(fdb, key, lesson.target, lesson.flags, (uint16_t)w->now_s, lesson.gen);
	}
}
