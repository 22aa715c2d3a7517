/*
 * balance.h: the frames of scenario lb. Clients behind port 0 ask a vip, backends behind port 1 answer. Each
 * frame says which connection it is of, so that the receiver can tell whether the switch has rewritten it
 * rightly and kept the connection at its backend.
 *
 *	connection c is of client c / 1024, from UDP port 10000 + c % 1024
 *	client i has 10.0.0.0 + 256 + i and MAC 02:5b:00:<i, 24 bits>
 *	the vip is 10.255.0.1, UDP port 4000
 *	backend b (of 16) has 10.254.0.1 + b, UDP port 5000 + b, and MAC 02:5b:01:<b, 24 bits>
 *
 *	14  IPv4
 *	34  UDP, with its checksum
 *	44  mark: BALANCE_MARK + the sending port
 *	48  number, 64 bits, of this sender
 *	56  connection, 32 bits
 *	60  pattern to the end
 *
 * Over IPv6 all from the UDP header on stands 20 bytes further, and each address stands behind fd5b::/96.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bench/traffic/traffic.h"

enum {
	BALANCE_BACKENDS = 16,
	BALANCE_HOSTS = 20,  /* backends that some scenario has */
	BALANCE_NONE = 0xff, /* in a backend's place */
	BALANCE_CLIENT_CONNECTIONS = 1024,
	BALANCE_MAX_CONNECTIONS = 1 << 26, /* clients' addresses end before the backends' */
	BALANCE_MARK = 0x1bce0000,
	BALANCE_VIP_PORT = 4000,
	BALANCE_HEAD = 60, /* what changes from frame to frame; over IPv6 TRAFFIC_LONGER6 more */
};

enum { BALANCE_CLIENTS, BALANCE_SERVERS }; /* the ports */

struct balance {
	_Alignas(64) uint8_t whole[2][TRAFFIC_MAX]; /* of connection 0 and backend 0, number 0 */
	unsigned length;			    /* in memory: without FCS */
	unsigned longer;			    /* IPv6: TRAFFIC_LONGER6; IPv4: 0 */
	unsigned source, destination;		    /* where the last four bytes of the addresses are */
	uint32_t ip_sum[2], udp_sum[2];		    /* of the checksummed words that never change */
	uint8_t router[6];			    /* where a vip is, and where answers come from */
};

/** Frames of `size` bytes with FCS (not a mixture; of IPv6 TRAFFIC_MIN6 at least), to the vip's `port`; the switch
 * answers for it as `router`. */
void balance_init(struct balance *b, unsigned size, bool ipv6, const uint8_t router[6], uint16_t port);

/** Every slot of a transmit ring has a frame as port `from` sends it, but for what is each frame's own. */
void balance_fill(const struct balance *b, struct front_ring *ring, unsigned from);

/** The MAC of the backend with address `ip`: for arp_take(). */
bool balance_host(uint32_t ip, uint8_t mac[6]);

static inline uint32_t balance_client_ip(uint32_t connection)
{
	return htonl(0x0a000100 + connection / BALANCE_CLIENT_CONNECTIONS);
}

static inline uint16_t balance_client_port(uint32_t connection)
{
	return htons((uint16_t)(10000 + connection % BALANCE_CLIENT_CONNECTIONS));
}

/** The last four bytes of a client's MAC. */
static inline uint32_t balance_client_mac(uint32_t connection)
{
	return htonl(connection / BALANCE_CLIENT_CONNECTIONS);
}

static inline uint32_t balance_backend_ip(unsigned backend)
{
	return htonl(0x0afe0001 + backend);
}

static inline uint16_t balance_backend_port(unsigned backend)
{
	return htons((uint16_t)(5000 + backend));
}

/** Puts number, connection and, as the last, both checksums into a frame of port `from`; `ip` and `udp` are
 * the sums of what else is this frame's own. */
static inline void balance_seal(const struct balance *b, uint8_t *frame, unsigned from, uint32_t connection,
	uint64_t seq, uint32_t ip, uint32_t udp)
{
	uint16_t ip_check = (uint16_t)~sum_fold(b->ip_sum[from] + ip);
	uint16_t udp_check = sum_udp(udp + b->udp_sum[from] + ip + sum_words(seq) + sum_words(connection));

	if (!b->longer)
		memcpy(frame + 24, &ip_check, 2);
	memcpy(frame + b->longer + 40, &udp_check, 2);
	memcpy(frame + b->longer + 48, &seq, 8);
	memcpy(frame + b->longer + 56, &connection, 4);
}

/* Where a neighbour advertisement fits in, one may have been in the slot (arp.h), and its bytes go too. */
static inline void balance_copy_head(const struct balance *b, uint8_t *frame, unsigned from)
{
	enum { ADVERTISED = TRAFFIC_MIN6 - TRAFFIC_FCS };

	memcpy(frame, b->whole[from], BALANCE_HEAD);
	if (b->length >= ADVERTISED)
		memcpy(frame + BALANCE_HEAD, b->whole[from] + BALANCE_HEAD, ADVERTISED - BALANCE_HEAD);
}

/** Writes the first BALANCE_HEAD bytes of a request. */
static inline void balance_request(const struct balance *b, uint8_t *frame, uint32_t connection, uint64_t seq)
{
	uint32_t ip = balance_client_ip(connection), mac = balance_client_mac(connection);
	uint16_t port = balance_client_port(connection);

	balance_copy_head(b, frame, BALANCE_CLIENTS);
	memcpy(frame + 8, &mac, 4);
	memcpy(frame + b->source, &ip, 4);
	memcpy(frame + b->longer + 34, &port, 2);
	balance_seal(b, frame, BALANCE_CLIENTS, connection, seq, sum_words(ip), port);
}

/** Writes the first BALANCE_HEAD bytes of what `backend` answers. */
static inline void balance_answer(
	const struct balance *b, uint8_t *frame, uint32_t connection, unsigned backend, uint64_t seq)
{
	uint32_t ip[2] = {balance_backend_ip(backend), balance_client_ip(connection)};
	uint16_t port[2] = {balance_backend_port(backend), balance_client_port(connection)};
	uint32_t mac = balance_client_mac(connection);

	balance_copy_head(b, frame, BALANCE_SERVERS);
	memcpy(frame + 2, &mac, 4);
	frame[11] = (uint8_t)backend;
	memcpy(frame + b->source, &ip[0], 4);
	memcpy(frame + b->destination, &ip[1], 4);
	memcpy(frame + b->longer + 34, port, 4);
	balance_seal(b, frame, BALANCE_SERVERS, connection, seq, sum_words(ip[0]) + sum_words(ip[1]),
		(uint32_t)port[0] + port[1]);
}

/**
 * True when a frame of `len` bytes is a request to a backend, rewritten as it must be: the backend's MAC,
 * address and port, the client's own. It is *backend's, of *connection (below `connections`), number *seq.
 */
static inline bool balance_read_request(const struct balance *b, const uint8_t *frame, uint32_t len,
	uint32_t connections, uint32_t *connection, unsigned *backend, uint64_t *seq)
{
	uint32_t mark, source, destination, mac;
	uint16_t ports[2];

	memcpy(&mark, frame + b->longer + 44, 4);
	memcpy(connection, frame + b->longer + 56, 4);
	memcpy(seq, frame + b->longer + 48, 8);
	memcpy(&source, frame + b->source, 4);
	memcpy(&destination, frame + b->destination, 4);
	memcpy(ports, frame + b->longer + 34, 4);
	memcpy(&mac, frame + 2, 4);
	*backend = frame[5];
	return len == b->length && mark == BALANCE_MARK + BALANCE_CLIENTS && *connection < connections &&
	       *backend < BALANCE_HOSTS && mac == htonl(1 << 24 | *backend) &&
	       destination == balance_backend_ip(*backend) && ports[1] == balance_backend_port(*backend) &&
	       source == balance_client_ip(*connection) && ports[0] == balance_client_port(*connection);
}

/** True when it is an answer to a client, rewritten as it must be: from the vip and its port. */
static inline bool balance_read_answer(const struct balance *b, const uint8_t *frame, uint32_t len,
	uint32_t connections, uint32_t *connection, uint64_t *seq)
{
	uint32_t mark, mac;
	uint16_t port;

	memcpy(&mark, frame + b->longer + 44, 4);
	memcpy(connection, frame + b->longer + 56, 4);
	memcpy(seq, frame + b->longer + 48, 8);
	memcpy(&mac, frame + 2, 4);
	memcpy(&port, frame + b->longer + 36, 2);
	if (len != b->length || mark != BALANCE_MARK + BALANCE_SERVERS || *connection >= connections)
		return false;
	/* the vip and its port stand in a request where an answer has them too, the other way round */
	return mac == balance_client_mac(*connection) && memcmp(frame + 6, b->router, 6) == 0 &&
	       memcmp(frame + b->source, b->whole[BALANCE_CLIENTS] + b->destination, 4) == 0 &&
	       memcmp(frame + b->longer + 34, b->whole[BALANCE_CLIENTS] + b->longer + 36, 2) == 0 &&
	       port == balance_client_port(*connection);
}

/** True when both checksums are right and everything that the switch may not change is as port `from` sent
 * it.
 */
bool balance_intact(const struct balance *b, const uint8_t *frame, unsigned from);
