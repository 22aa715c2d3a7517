#include "dataplane/deliver/too_big.h"

#include "dataplane/core/dp.h"
#include "dataplane/frame/icmp_answer.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/network.h"

enum {
	UNREACHABLE = 3, /* ICMP */
	FRAGMENTATION_NEEDED = 4,
	PACKET_TOO_BIG = 2, /* ICMPv6 */
	IP4_DF = 0x4000,
	IP4_MTU_MIN = 68,
	IP6_LEN = 40,
	IP6_MTU_MIN = 1280,
};

/* Is it the packet that was too long, and would the sender send shorter ones? */
static bool is_too_big(const struct frame *f, const uint8_t *ip, uint32_t mtu)
{
	if (f->ethertype == ETHERTYPE_IP4)
		return mtu >= IP4_MTU_MIN && load16(ip + 2) > mtu && (load16(ip + 6) & IP4_DF);
	return mtu >= IP6_MTU_MIN && load16(ip + 4) + (uint32_t)IP6_LEN > mtu;
}

/* Who answers: the gateway, but not to itself, else as if the destination had. */
static void write_answer(struct worker *w, const struct burst *b, struct frame *f, uint32_t mtu)
{
	const struct network *net = dp_get_net(w->dp, f->net);
	const uint8_t *data = frame_data(f), *ip = data + f->l3_off;
	struct icmp_answer answer = {.info = mtu, .longest = b->in->mtu};

	memcpy(answer.mac, b->in->is_gateway ? data : dp_router_mac, 6);
	if (f->ethertype == ETHERTYPE_IP4) {
		uint32_t source =
			net && net->gateway && !b->in->is_gateway ? net->gateway : load_ip4(ip + 16);

		answer.type = UNREACHABLE;
		answer.code = FRAGMENTATION_NEEDED;
		memcpy(answer.source, &source, sizeof(source));
	} else {
		bool by_gateway = net && !ip_is_none(net->gateway6) && !b->in->is_gateway;

		answer.type = PACKET_TOO_BIG;
		memcpy(answer.source, by_gateway ? net->gateway6.b : ip + 24, 16);
	}
	icmp_answer(f, &answer);
}

bool too_big_answer(struct worker *w, const struct burst *b, struct frame *f, uint32_t longest)
{
	uint32_t mtu;

	if (b->in->is_uplink || f->src_vtep != VTEP_NONE || f->routed)
		return false;
	nat_undo(f);
	frame_pull(f, HDR_MAX);
	parse_frame(f);
	if (!f->l3_off)
		return false;
	mtu = longest - f->l3_off;
	if (!is_too_big(f, frame_data(f) + f->l3_off, mtu) || !icmp_answer_may(f) || !port_may_answer(b->in))
		return false;
	write_answer(w, b, f, mtu);
	return true;
}
