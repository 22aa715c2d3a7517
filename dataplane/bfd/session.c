#include "dataplane/bfd/session.h"

enum {
	END_MOST_US = 10 * BFD_SLOW_US
}; /* a session that ends keeps its place no longer, whatever the other side says */

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

uint64_t bfd_session_detect_us(const struct bfd_session *s)
{
	return (uint64_t)s->remote_multiplier * larger(s->rx_used_us, s->remote_tx_us);
}

/* Between two packets of ours. */
static uint32_t interval(const struct bfd_session *s)
{
	return larger(s->tx_used_us, s->remote_rx_us);
}

/*
 * What we wish to send at and can receive, for the state that we are in. What makes the other side wait for longer, or
 * us for shorter, is used only when it has said that it knows (6.8.3).
 */
static void choose_intervals(struct bfd_session *s)
{
	uint32_t tx = s->state == BFD_UP ? s->interval_us : larger(s->interval_us, BFD_SLOW_US);

	if (tx == s->min_tx_us && s->interval_us == s->rx_us)
		return;
	if (s->state != BFD_UP || tx < s->tx_used_us)
		s->tx_used_us = tx;
	if (s->state != BFD_UP || s->interval_us > s->rx_used_us)
		s->rx_used_us = s->interval_us;
	s->min_tx_us = tx;
	s->rx_us = s->interval_us;
	s->polling = s->state == BFD_UP;
}

static void enter(struct bfd_session *s, enum bfd_state state, enum bfd_diag diag)
{
	s->state = (uint8_t)state;
	s->diag = (uint8_t)diag;
	s->news = true;
	if (state != BFD_UP)
		s->polling = false;
	choose_intervals(s);
}

void bfd_session_start(
	struct bfd_session *s, uint32_t mine, uint32_t interval_us, uint8_t multiplier, uint64_t now)
{
	*s = (struct bfd_session){
		.mine = mine,
		.state = BFD_DOWN,
		.remote_state = BFD_DOWN,
		.multiplier = multiplier,
		.remote_multiplier = 1,
		.remote_rx_us = 1,
		.interval_us = interval_us,
		.send_at = now,
		.lost_at = BFD_NEVER,
		.end_at = BFD_NEVER,
	};
	choose_intervals(s);
}

void bfd_session_set(struct bfd_session *s, uint32_t interval_us, uint8_t multiplier, uint64_t now)
{
	s->interval_us = interval_us;
	s->multiplier = multiplier;
	choose_intervals(s);
	if (s->send_at > now + s->tx_used_us)
		s->send_at = now + s->tx_used_us;
}

void bfd_session_end(struct bfd_session *s, enum bfd_diag diag, uint64_t now)
{
	uint64_t rest;

	if (s->state == BFD_ADMIN_DOWN)
		return;
	s->lost_at = BFD_NEVER;
	s->answer = false;
	enter(s, BFD_ADMIN_DOWN, diag);
	rest = s->yours ? (uint64_t)s->multiplier * interval(s) : 0;
	s->end_at = now + (rest < END_MOST_US ? rest : END_MOST_US);
}

/* The state that `said` leads to (6.8.6). */
static void follow(struct bfd_session *s, uint8_t said)
{
	if (said == BFD_ADMIN_DOWN) {
		if (s->state != BFD_DOWN)
			enter(s, BFD_DOWN, BFD_NEIGHBOUR_DOWN);
	} else if (s->state == BFD_DOWN && said == BFD_DOWN) {
		enter(s, BFD_INIT, (enum bfd_diag)s->diag);
	} else if ((s->state == BFD_DOWN && said == BFD_INIT) || (s->state == BFD_INIT && said >= BFD_INIT)) {
		enter(s, BFD_UP, BFD_NO_DIAG);
	} else if (s->state == BFD_UP && said == BFD_DOWN) {
		enter(s, BFD_DOWN, BFD_NEIGHBOUR_DOWN);
	}
}

void bfd_session_take(struct bfd_session *s, const struct bfd_packet *packet, uint64_t now)
{
	if (s->state == BFD_ADMIN_DOWN)
		return;
	s->yours = packet->mine;
	s->remote_state = packet->state;
	s->remote_diag = packet->diag;
	s->remote_multiplier = packet->multiplier;
	s->remote_tx_us = packet->min_tx_us;
	s->remote_rx_us = packet->min_rx_us;
	if (packet->final && s->polling) {
		s->polling = false;
		s->tx_used_us = s->min_tx_us;
		s->rx_used_us = s->rx_us;
	}
	follow(s, packet->state);
	if (packet->poll)
		s->answer = true;
	s->lost_at = now + bfd_session_detect_us(s);
	if (s->send_at > now + interval(s)) /* it can receive more now than when that was chosen */
		s->send_at = now + interval(s);
}

uint64_t bfd_session_due(const struct bfd_session *s)
{
	uint64_t due = s->remote_rx_us ? s->send_at : BFD_NEVER; /* 6.8.7: it wants no periodic packets */

	if (s->news || s->answer)
		return 0;
	if (s->lost_at < due)
		due = s->lost_at;
	return s->end_at < due ? s->end_at : due;
}

/* 75 to 100 % of the interval, to 90 % when a single lost packet would do (6.8.7). */
static uint64_t with_jitter(const struct bfd_session *s, uint32_t random)
{
	uint64_t whole = interval(s), most = s->multiplier == 1 ? whole * 15 / 100 : whole / 4;

	return whole * 3 / 4 + (most ? random % (most + 1) : 0);
}

static void expire(struct bfd_session *s)
{
	s->lost_at = BFD_NEVER;
	s->yours = 0; /* 6.8.1 */
	s->remote_rx_us = 1;
	s->remote_state = BFD_DOWN;
	if (s->state == BFD_INIT || s->state == BFD_UP)
		enter(s, BFD_DOWN, BFD_TIME_EXPIRED);
}

bool bfd_session_turn(struct bfd_session *s, uint64_t now, uint32_t random, struct bfd_packet *packet)
{
	bool periodic;

	if (now >= s->lost_at)
		expire(s);
	periodic = s->news || (now >= s->send_at && s->remote_rx_us && now < s->end_at);
	if (!periodic && !s->answer)
		return false;
	*packet = (struct bfd_packet){
		.diag = s->diag,
		.state = s->state,
		.multiplier = s->multiplier,
		.poll = s->polling && !s->answer,
		.final = s->answer,
		.mine = s->mine,
		.yours = s->yours,
		.min_tx_us = s->min_tx_us,
		.min_rx_us = s->rx_us,
	};
	s->answer = false;
	if (periodic) {
		s->news = false;
		s->send_at = now + with_jitter(s, random);
	}
	return true;
}

void bfd_session_forgive(struct bfd_session *s, uint64_t now)
{
	if (s->lost_at != BFD_NEVER)
		s->lost_at = now + bfd_session_detect_us(s);
}
