#include "dataplane/egress/icmp.h"

#include "dataplane/core/dp.h"
#include "dataplane/egress/flow.h"
#include "dataplane/frame/icmp_answer.h"
#include "dataplane/frame/icmp_error.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/parse.h"

void icmp_refuse(struct burst *b, struct frame *f, const struct egress_answer *answer)
{
	struct icmp_answer icmp = {
		.type = answer->type, .code = answer->code, .info = answer->info, .longest = b->in->mtu};

	frame_drop(f, answer->reason);
	nat_undo(f); /* its sender is told of the packet that it sent */
	if (!icmp_answer_may(f) || !port_may_answer(b->in))
		return;
	memcpy(icmp.mac, answer->mac, 6);
	memcpy(icmp.source, &answer->source, 4);
	f->off = (struct offload){0};
	icmp_answer(f, &icmp);
	f->verdict = V_REFUSE;
}

/* What is quoted came from outside, and went to the guest. */
uint32_t icmp_from_guest(struct worker *w, struct frame *f)
{
	struct icmp_error e;
	struct ends ends;
	struct conn_hit hit;

	if (!icmp_error_read(f, &e))
		return 0;
	ends = (struct ends){e.dst, e.src, e.dst_port, e.src_port, e.proto, f->net};
	if (!flow_of_guest(w->dp->egress, &ends, &hit))
		return 0;
	icmp_error_rewrite(f, &e, NAT_SOURCE, dp_router_mac, hit.end.ip, hit.end.port);
	return hit.end.ip;
}

/* What is quoted went out under our address; the error is to that one, too, else it was not for whoever sent it. */
bool icmp_from_outside(struct worker *w, struct frame *f, uint16_t *net)
{
	struct icmp_error e;
	struct outside outside;
	struct conn_hit hit;
	uint8_t mac[6];

	if (!icmp_error_read(f, &e) || e.src != load_ip4(frame_data(f) + f->l3_off + 16))
		return false;
	outside = (struct outside){e.src, e.dst, e.src_port, e.dst_port, e.proto};
	if (!flow_of_peer(w->dp->egress, &outside, &hit) || !flow_guest(w, &hit, net, mac))
		return false;
	icmp_error_rewrite(f, &e, NAT_DESTINATION, mac, hit.end.ip, hit.end.port);
	return true;
}
