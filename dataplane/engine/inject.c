#include "dataplane/engine/inject.h"

#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/exchange.h"
#include "dataplane/deliver/deliver.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/forward/forward.h"
#include "dataplane/l2/network.h"

/* To the one machine that it is for, or to all. */
static void send_into_network(struct worker *w, struct burst *b)
{
	struct frame *f = &b->frame[0];

	f->verdict = V_NONE;
	fdb_ask(w->dp->fdb, fdb_frame_key(f->net, frame_data(f)), &b->asked[0]);
	lookup_stage(w, b);
}

/*
 * A burst of one frame that no port sent: `none` stands for its port, so that the frame reaches every
 * receiver.
 */
static void send_one(struct worker *w, const struct exchange_frame *x)
{
	static struct port none = {.id = OUT_NONE, .net = NET_NONE, .is_uplink = true};
	struct burst *b = &w->segments;
	struct port *port = x->port == OUT_NONE ? &none : dp_get_port(w->dp, x->port);
	struct frame *f = &b->frame[0];

	if (!port || (x->port == OUT_NONE && !dp_get_net(w->dp, x->net)))
		return;
	b->in = port;
	b->count = 1;
	b->nspan = 0;
	frame_init(f);
	memcpy(frame_data(f), x->data, x->len);
	f->hdr_len = x->len;
	f->len = x->len;
	f->net = x->net;
	parse_frame(f);
	if (x->port == OUT_NONE) {
		stat_add(&w->net_stats[x->net].generated, 1);
		send_into_network(w, b);
	} else {
		f->net = NET_NONE;
		f->verdict = V_REPLY;
	}
	deliver_stage(w, b);
}

static void send_all(struct worker *w, struct exchange *from)
{
	const struct exchange_frame *x;

	while ((x = exchange_peek(from))) {
		send_one(w, x);
		exchange_pop(from);
	}
}

void inject_send(struct worker *w)
{
	send_all(w, w->bfd_out);
	send_all(w, w->inject);
}
