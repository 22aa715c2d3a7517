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

/* What the SYN takes of its sender's sequence numbers: itself, and data if it has any. */
static uint32_t sequence_len(const uint8_t *ip, const uint8_t *tcp)
{
	int32_t data = load16(ip + 2) - (ip[0] & 15) * 4 - (tcp[TCP_OFFSET] >> 4) * 4;

	return 1 + (data > 0 ? (uint32_t)data : 0);
}

static void write_reset(uint8_t *ip, uint32_t client, uint32_t vip, const uint8_t ports[4], uint32_t acked)
{
	uint8_t *tcp = ip + REPLY_IP4_LEN;
	uint64_t pseudo;

	reply_write_ip4(ip, 0, REPLY_IP4_LEN + TCP_LEN, IPPROTO_TCP, vip, client);
	memset(tcp, 0, TCP_LEN);
	memcpy(tcp, ports + 2, 2);
	memcpy(tcp + 2, ports, 2);
	store32(tcp + TCP_ACKED, acked);
	tcp[TCP_OFFSET] = TCP_LEN / 4 << 4;
	tcp[TCP_FLAGS] = TCP_RST | TCP_ACK;
	pseudo = csum_add(0, ip + 12, 8) + __builtin_bswap16(IPPROTO_TCP) + __builtin_bswap16(TCP_LEN);
	csum_store(tcp + TCP_CSUM, (uint16_t)~csum_fold(csum_add(pseudo, tcp, TCP_LEN)));
}

static bool reset(struct frame *f)
{
	uint8_t *data = frame_data(f), *ip = data + f->l3_off, *tcp = data + f->l4_off;
	uint32_t acked = load32(tcp + TCP_SEQ) + sequence_len(ip, tcp);
	uint32_t client = load_ip4(ip + 12), vip = load_ip4(ip + 16);
	uint8_t ports[4];

	if ((tcp[TCP_FLAGS] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) != TCP_SYN)
		return false;
	memcpy(ports, tcp, sizeof(ports));
	frame_trim(f, f->l3_off + (uint32_t)REPLY_IP4_LEN + TCP_LEN);
	f->off = (struct offload){0};
	memcpy(data, data + 6, 6);
	memcpy(data + 6, dp_router_mac, 6);
	write_reset(ip, client, vip, ports, acked);
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
