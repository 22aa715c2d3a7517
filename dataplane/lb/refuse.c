#include "dataplane/lb/refuse.h"

#include "dataplane/frame/csum.h"
#include "dataplane/frame/icmp_answer.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"
#include "dataplane/lb/item.h"

enum {
	TCP_LEN = 20,
	TCP_SEQ = 4,
	TCP_ACKED = 8,
	TCP_OFFSET = 12,
	TCP_CSUM = 16,
	UNREACHABLE = 3, /* ICMP */
	PORT_UNREACHABLE = 3,
	PROTOCOL_UNREACHABLE = 2,
	UNREACHABLE6 = 1, /* ICMPv6 */
	PORT_UNREACHABLE6 = 4,
	PARAMETER_PROBLEM6 = 4,
	UNKNOWN_HEADER6 = 1,
	IP6_NEXT = 6, /* offset */
};

/* What the packet takes of its sender's sequence numbers: its SYN, its FIN, and data if it has any. */
static uint32_t sequence_len(const struct frame *f, const uint8_t *ip, const uint8_t *tcp)
{
	int32_t end = f->ethertype == ETHERTYPE_IP4 ? load16(ip + 2) : IP6_LEN + load16(ip + 4);
	int32_t data = end - (f->l4_off - f->l3_off) - (tcp[TCP_OFFSET] >> 4) * 4;

	return !!(tcp[TCP_FLAGS] & TCP_SYN) + !!(tcp[TCP_FLAGS] & TCP_FIN) + (data > 0 ? (uint32_t)data : 0);
}

/* The IP header of a TCP header alone. Returns where that is to be, and the sum of the addresses. */
static uint8_t *write_ip(uint8_t *ip, struct ip_addr to, struct ip_addr from, uint64_t *pseudo)
{
	if (!ip_is4(to)) {
		reply_write_ip6(ip, TCP_LEN, IPPROTO_TCP, from.b, to.b);
		*pseudo = csum_add(0, ip + IP6_SOURCE, 32);
		return ip + IP6_LEN;
	}
	reply_write_ip4(ip, 0, REPLY_IP4_LEN + TCP_LEN, IPPROTO_TCP, ip_to4(from), ip_to4(to));
	*pseudo = csum_add(0, ip + 12, 8);
	return ip + REPLY_IP4_LEN;
}

uint16_t refuse_write_tcp(uint8_t *ip, struct ip_addr to, struct ip_addr from, const uint8_t ports[4],
	const struct tcp_numbers *n)
{
	uint64_t pseudo;
	uint8_t *tcp = write_ip(ip, to, from, &pseudo);

	memset(tcp, 0, TCP_LEN);
	memcpy(tcp, ports + 2, 2);
	memcpy(tcp + 2, ports, 2);
	store32(tcp + TCP_SEQ, n->seq);
	store32(tcp + TCP_ACKED, n->acked);
	tcp[TCP_OFFSET] = TCP_LEN / 4 << 4;
	tcp[TCP_FLAGS] = n->flags;
	pseudo += __builtin_bswap16(IPPROTO_TCP) + __builtin_bswap16(TCP_LEN);
	csum_store(tcp + TCP_CSUM, (uint16_t)~csum_fold(csum_add(pseudo, tcp, TCP_LEN)));
	return (uint16_t)(tcp + TCP_LEN - ip);
}

void refuse_reset(struct frame *f, uint8_t flags)
{
	uint8_t *data = frame_data(f), *ip = data + f->l3_off, *tcp = data + f->l4_off;
	struct tcp_numbers n = {
		.acked = load32(tcp + TCP_SEQ) + sequence_len(f, ip, tcp), .flags = TCP_RST | TCP_ACK};
	bool is6 = f->ethertype == ETHERTYPE_IP6;
	struct ip_addr source = is6 ? ip_from6(ip + IP6_SOURCE) : ip_from4(load_ip4(ip + 12));
	struct ip_addr destination = is6 ? ip_from6(ip + IP6_DESTINATION) : ip_from4(load_ip4(ip + 16));
	uint8_t ports[4], mac[6];

	if (flags & TCP_ACK)
		n = (struct tcp_numbers){.seq = load32(tcp + TCP_ACKED), .flags = TCP_RST};
	memcpy(ports, tcp, sizeof(ports));
	frame_trim(f, f->l3_off + (uint32_t)(is6 ? IP6_LEN : REPLY_IP4_LEN) + TCP_LEN);
	f->off = (struct offload){0};
	memcpy(mac, data, 6);
	memcpy(data, data + 6, 6);
	memcpy(data + 6, mac, 6);
	refuse_write_tcp(ip, source, destination, ports, &n);
}

static bool reset(struct frame *f)
{
	uint8_t flags = frame_data(f)[f->l4_off + TCP_FLAGS];

	if ((flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) != TCP_SYN)
		return false;
	refuse_reset(f, flags);
	return true;
}

static bool tell_unreachable(struct port *in, struct frame *f)
{
	struct icmp_answer answer = {.type = UNREACHABLE, .code = PORT_UNREACHABLE, .longest = in->mtu};
	const uint8_t *ip = frame_data(f) + f->l3_off;

	if (!icmp_answer_may(f) || !port_may_answer(in))
		return false;
	memcpy(answer.mac, dp_router_mac, 6);
	if (f->ethertype == ETHERTYPE_IP6) {
		answer.type = UNREACHABLE6;
		answer.code = PORT_UNREACHABLE6;
		memcpy(answer.source, ip + IP6_DESTINATION, 16);
		if (f->ip_proto == IPPROTO_SCTP) { /* as below (ICMP8) */
			answer.type = PARAMETER_PROBLEM6;
			answer.code = UNKNOWN_HEADER6;
			answer.info = IP6_NEXT;
		}
	} else {
		memcpy(answer.source, ip + 16, 4);
		if (f->ip_proto == IPPROTO_SCTP) /* a port's end is no word to it (RFC 9260, 10, ICMP4) */
			answer.code = PROTOCOL_UNREACHABLE;
	}
	icmp_answer(f, &answer);
	return true;
}

static void refuse(struct port *in, struct frame *f)
{
	if (f->ip_proto == IPPROTO_TCP ? reset(f) : tell_unreachable(in, f))
		f->verdict = V_REFUSE;
}

/* Is the client told that nobody serves what it sent? */
static bool rejects(const struct item *it, enum drop_reason reason)
{
	if (reason == DROP_NO_BACKEND)
		return item_service(it)->rejects;
	if (reason != DROP_VIP_MISS)
		return false;
	return item_is6(it) ? lb_view6_rejects(it->view->ip6, item_dst(it))
			    : lb_view_rejects(it->view, it->dst);
}

void service_refuse_item(struct port *in, const struct item *it, enum drop_reason reason)
{
	frame_drop(it->f, reason);
	if (!it->f->routed && rejects(it, reason)) /* else nobody would translate the answer */
		refuse(in, it->f);
}
