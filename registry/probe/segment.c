#include "registry/probe/segment.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

enum { LARGEST = 1460, WINDOW = 64240 }; /* as Linux says them on Ethernet */

/* RFC 1071, over an even number of bytes. */
static uint32_t sum_of(const void *bytes, size_t len, uint32_t sum)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

void segment_syn(const struct segment_ends *ends, uint32_t number, uint8_t out[SEGMENT_SYN])
{
	const uint8_t option[4] = {TCPOPT_MAXSEG, TCPOLEN_MAXSEG, LARGEST >> 8, LARGEST & 0xff};
	struct tcphdr header = {
		.source = htons(ends->from_port),
		.dest = htons(ends->to_port),
		.seq = htonl(number),
		.doff = SEGMENT_SYN / 4,
		.syn = 1,
		.window = htons(WINDOW),
	};
	uint32_t sum = IPPROTO_TCP + SEGMENT_SYN; /* the pseudo-header */

	sum = sum_of(&ends->from, sizeof(ends->from), sum);
	sum = sum_of(&ends->to, sizeof(ends->to), sum);
	sum = sum_of(&header, sizeof(header), sum);
	sum = sum_of(option, sizeof(option), sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	header.check = htons((uint16_t)~sum);
	memcpy(out, &header, sizeof(header));
	memcpy(out + sizeof(header), option, sizeof(option));
}

enum segment_kind segment_answer(
	const uint8_t *packet, size_t len, struct segment_ends *ends, uint32_t *number)
{
	struct iphdr ip;
	struct tcphdr tcp;

	if (len < sizeof(ip))
		return SEGMENT_OTHER;
	memcpy(&ip, packet, sizeof(ip));
	if (ip.version != 4 || ip.ihl < 5 || ip.protocol != IPPROTO_TCP ||
		len < (size_t)ip.ihl * 4 + sizeof(tcp))
		return SEGMENT_OTHER;
	memcpy(&tcp, packet + (size_t)ip.ihl * 4, sizeof(tcp));
	if (tcp.doff < 5 || !tcp.ack || tcp.fin || tcp.syn == tcp.rst)
		return SEGMENT_OTHER;
	*ends = (struct segment_ends){
		.from = ip.daddr, .to = ip.saddr, .from_port = ntohs(tcp.dest), .to_port = ntohs(tcp.source)};
	*number = ntohl(tcp.ack_seq) - 1;
	return tcp.rst ? SEGMENT_REFUSED : SEGMENT_OPEN;
}

bool segment_quoted(const uint8_t *bytes, size_t len, struct segment_ends *ends, uint32_t *number)
{
	struct tcphdr tcp = {0};

	if (len < SEGMENT_QUOTED)
		return false;
	memcpy(&tcp, bytes, SEGMENT_QUOTED);
	ends->from_port = ntohs(tcp.source);
	ends->to_port = ntohs(tcp.dest);
	*number = ntohl(tcp.seq);
	return true;
}
