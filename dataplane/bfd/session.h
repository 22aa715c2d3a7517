/*
 * session.h: one BFD session in asynchronous mode (RFC 5880, 6.8): both sides send at an interval that they agree on,
 * and who hears nothing for a few intervals says that the other one is down. Knows no sockets and no clock: times are
 * microseconds of a clock that the caller has, so that a test has its own.
 *
 *   down --(down)--> init --(init, up)--> up      in brackets: what the other side says it is
 *   down --(init)--------------------> up
 *   any but admin-down --(silence, admin-down), up --(down)--> down
 *
 * While a session is not up it sends once a second (6.8.3). But each change is told at once (6.8.7), so that two sides
 * that hear each other are up after one second at most and three packets.
 */
#pragma once

#include "dataplane/bfd/packet.h"

enum { BFD_SLOW_US = 1000000 }; /* between packets while not up, at least */

#define BFD_NEVER UINT64_MAX

struct bfd_session {
	uint32_t mine, yours; /* discriminators; yours 0: not known */
	uint8_t state, diag;  /* enum bfd_state, enum bfd_diag */
	uint8_t remote_state, remote_diag;
	uint8_t multiplier, remote_multiplier;
	bool polling;			 /* every packet asks for a final one, which ends it */
	bool answer;			 /* a final one is due */
	bool news;			 /* the other side is to hear of a change now */
	uint32_t interval_us;		 /* as configured */
	uint32_t min_tx_us, rx_us;	 /* as told; rx is the interval always */
	uint32_t tx_used_us, rx_used_us; /* in use until a poll has its answer (6.8.3) */
	uint32_t remote_tx_us, remote_rx_us;
	uint64_t send_at; /* the next packet */
	uint64_t lost_at; /* when nothing comes until then, the other side is down */
	uint64_t end_at;  /* after bfd_session_end(): no more packets from here on */
};

/** Begins, down. `mine` is not 0, and nobody else's here. */
void bfd_session_start(
	struct bfd_session *s, uint32_t mine, uint32_t interval_us, uint8_t multiplier, uint64_t now);

/** Another interval or multiplier. An established session goes on. */
void bfd_session_set(struct bfd_session *s, uint32_t interval_us, uint8_t multiplier, uint64_t now);

/** No longer wanted: the other side is told so (RFC 5880, 6.8.16) for as long as it may take to hear it, 10 s at
 * most. */
void bfd_session_end(struct bfd_session *s, enum bfd_diag diag, uint64_t now);

/** A packet for this session came. */
void bfd_session_take(struct bfd_session *s, const struct bfd_packet *packet, uint64_t now);

/** When bfd_session_turn() is to be called next, BFD_NEVER: not before a packet comes. */
uint64_t bfd_session_due(const struct bfd_session *s);

/**
 * What the time `now` brings: the other side may be down by it. True: *packet is to be sent. To be called until it returns
 * false. `random` makes the interval differ from packet to packet (6.8.7).
 */
bool bfd_session_turn(struct bfd_session *s, uint64_t now, uint32_t random, struct bfd_packet *packet);

/** The clock stood still for us, or we did: the other side gets its time anew. */
void bfd_session_forgive(struct bfd_session *s, uint64_t now);

/** So much silence means that the other side is down. */
uint64_t bfd_session_detect_us(const struct bfd_session *s);
