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
};

/* What the packet takes of its sender's sequence numbers: its SYN, its FIN, and data if it has any. */
static uint32_t sequence_len(const uint8_t *ip, const uint8_t *tcp)
{
	int32_t data = load16(ip + 2) - (ip[0] & 15) * 4 - (tcp[TCP_OFFSET] >> 4) * 4;

	return !!(tcp[TCP_FLAGS] & TCP_SYN) + !!(tcp[TCP_FLAGS] & TCP_FIN) + (data > 0 ? (uint32_t)data : 0);
}

/* The numbers of a reset. */
struct numbers {
	uint32_t seq, acked;
	uint8_t flags;
};

static void write_reset(
	uint8_t *ip, uint32_t client, uint32_t vip, const uint8_t ports[4], const struct numbers *n)
{
	uint8_t *tcp = ip + REPLY_IP4_LEN;
	uint64_t pseudo;

	reply_write_ip4(ip, 0, REPLY_IP4_LEN + TCP_LEN, IPPROTO_TCP, vip, client);
	memset(tcp, 0, TCP_LEN);
	memcpy(tcp, ports + 2, 2);
	memcpy(tcp + 2, ports, 2);
	store32(tcp + TCP_SEQ, n->seq);
	store32(tcp + TCP_ACKED, n->acked);
	tcp[TCP_OFFSET] = TCP_LEN / 4 << 4;
	tcp[TCP_FLAGS] = n->flags;
	pseudo = csum_add(0, ip + 12, 8) + __builtin_bswap16(IPPROTO_TCP) + __builtin_bswap16(TCP_LEN);
	csum_store(tcp + TCP_CSUM, (uint16_t)~csum_fold(csum_add(pseudo, tcp, TCP_LEN)));
}

void refuse_reset(struct frame *f, uint8_t flags)
{
	uint8_t *data = frame_data(f), *ip = data + f->l3_off, *tcp = data + f->l4_off;
	uint32_t client = load_ip4(ip + 12), vip = load_ip4(ip + 16);
	struct numbers n = {
		.acked = load32(tcp + TCP_SEQ) + sequence_len(ip, tcp), .flags = TCP_RST | TCP_ACK};
	uint8_t ports[4], mac[6];

	if (flags & TCP_ACK)
		n = (struct numbers){.seq = load32(tcp + TCP_ACKED), .flags = TCP_RST};
	memcpy(ports, tcp, sizeof(ports));
	frame_trim(f, f->l3_off + (uint32_t)REPLY_IP4_LEN + TCP_LEN);
	f->off = (struct offload){0};
	memcpy(mac, data, 6);
	memcpy(data, data + 6, 6);
	memcpy(data + 6, mac, 6);
	write_reset(ip, client, vip, ports, &n);
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

	if (!icmp_answer_may(f) || !port_may_answer(in))
		return false;
	memcpy(answer.mac, dp_router_mac, 6);
	memcpy(answer.source, frame_data(f) + f->l3_off + 16, 4);
	icmp_answer(f, &answer);
	return true;
}

void service_refuse(struct port *in, struct frame *f)
{
	if (f->ip_proto == IPPROTO_TCP ? reset(f) : tell_unreachable(in, f))
		f->verdict = V_REFUSE;
}
