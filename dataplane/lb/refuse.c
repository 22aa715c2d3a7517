#include "dataplane/lb/refuse.h"

#include <netinet/in.h>

#include "dataplane/core/dp.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/icmp_answer.h"
#include "dataplane/frame/parse.h"

enum {
	IP_LEN = 20,
	IP_DF = 0x4000,
	TTL = 64,
	TCP_LEN = 20,
	TCP_SEQ = 4,
	TCP_ACKED = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CSUM = 16,
	UNREACHABLE = 3, /* ICMP */
	PORT_UNREACHABLE = 3,
};

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)load16(p) << 16 | load16(p + 2);
}

static void store32(uint8_t *p, uint32_t value)
{
	store16(p, (uint16_t)(value >> 16));
	store16(p + 2, (uint16_t)value);
}

/* What the SYN takes of its sender's sequence numbers: itself, and data if it has any. */
static uint32_t sequence_len(const uint8_t *ip, const uint8_t *tcp)
{
	int32_t data = load16(ip + 2) - (ip[0] & 15) * 4 - (tcp[TCP_OFFSET] >> 4) * 4;

	return 1 + (data > 0 ? (uint32_t)data : 0);
}

/* `ip` is the reset's, of IP_LEN, and the TCP header follows. */
static void checksums(uint8_t *ip)
{
	uint8_t *tcp = ip + IP_LEN;
	uint64_t pseudo =
		csum_add(0, ip + 12, 8) + __builtin_bswap16(IPPROTO_TCP) + __builtin_bswap16(TCP_LEN);

	csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP_LEN)));
	csum_store(tcp + TCP_CSUM, (uint16_t)~csum_fold(csum_add(pseudo, tcp, TCP_LEN)));
}

static void write_reset(uint8_t *ip, uint32_t client, uint32_t vip, const uint8_t ports[4], uint32_t acked)
{
	uint8_t *tcp = ip + IP_LEN;

	memset(ip, 0, IP_LEN + TCP_LEN);
	ip[0] = 0x45;
	store16(ip + 2, IP_LEN + TCP_LEN);
	store16(ip + 6, IP_DF);
	ip[8] = TTL;
	ip[9] = IPPROTO_TCP;
	store_ip4(ip + 12, vip);
	store_ip4(ip + 16, client);
	memcpy(tcp, ports + 2, 2);
	memcpy(tcp + 2, ports, 2);
	store32(tcp + TCP_ACKED, acked);
	tcp[TCP_OFFSET] = TCP_LEN / 4 << 4;
	tcp[TCP_FLAGS] = RST | ACK;
	checksums(ip);
}

static bool reset(struct frame *f)
{
	uint8_t *data = frame_data(f), *ip = data + f->l3_off, *tcp = data + f->l4_off;
	uint32_t acked = load32(tcp + TCP_SEQ) + sequence_len(ip, tcp);
	uint32_t client = load_ip4(ip + 12), vip = load_ip4(ip + 16);
	uint8_t ports[4];

	if ((tcp[TCP_FLAGS] & (FIN | SYN | RST | ACK)) != SYN)
		return false;
	memcpy(ports, tcp, sizeof(ports));
	frame_trim(f, f->l3_off + (uint32_t)IP_LEN + TCP_LEN);
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
