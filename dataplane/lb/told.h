/*
 * told.h: what the switches of other hosts tell of the backends behind them, for services whose policy is `least`: how
 * many requests each has under way, everybody's, and how long one takes (docs/adr/0019-told-load.md). It is good for a
 * fifth of a second. Of its own backends a host tells itself the same (overlay/tell.h).
 *
 * A host is believed only about backends that are behind its vtep. What it tells makes a backend look busier than this
 * host sees it, never idler.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;
struct lb;
struct worker;

enum { TOLD_FRESH_MS = 200 };

/* Of a backend, by its id. Each word is read and written whole; what belongs together may be torn, by a few requests. */
struct told {
	uint32_t in_flight;
	uint32_t latency; /* ticks of least.h, 0: not known */
	uint32_t own;	  /* what this host had in flight when it was told */
	uint32_t at;	  /* ticks */
	uint32_t at_s;	  /* and the worker's clock, as ticks come round again; 0: nothing was told */
};

/* Of a vtep. */
struct told_host {
	_Atomic(uint64_t) full; /* bucket.h: of what it tells */
	uint32_t number;	/* of its last packet */
	uint32_t at_s;		/* when that was taken */
	uint32_t asked_s;	/* when its host last had a request for a backend here; 0: never */
};

/* One backend in a packet. */
struct told_news {
	struct ip_addr address;
	uint16_t port; /* network byte order */
	uint8_t protocol;
	bool several; /* the port is the first of several in a row */
	uint32_t in_flight, us;
};

static inline uint32_t told_read(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/** TOLD_FRESH_MS in ticks. */
uint32_t told_fresh_ticks(void);

/** Does what was told at second `at_s` still say something, as far as seconds tell? Clocks of workers may be ahead. */
static inline bool told_is_recent(uint32_t at_s, uint32_t now_s)
{
	return at_s && (int32_t)(now_s - at_s) <= 1;
}

/** Does it still say something? `fresh`: told_fresh_ticks(). */
static inline bool told_is_fresh(const struct told *told, uint32_t fresh, uint32_t now, uint32_t now_s)
{
	return told_is_recent(told_read(&told->at_s), now_s) &&
	       (int32_t)(now - told_read(&told->at)) < (int32_t)fresh;
}

/** Control thread. The id is another backend's from now on. */
void told_forget(struct lb *lb, uint32_t id);

/** Any thread, at time `now_s`. Of a backend that this host has `own` requests to under way. */
void told_note(struct lb *lb, uint32_t id, const struct told_news *news, uint32_t own, uint32_t now_s);

/** Worker. May the host at the vtep be heard: is packet `number` later than its last one, and are they not too many? */
bool told_admits(struct worker *w, uint16_t vtep, uint32_t number);

/** Worker. Is the backend of network `net` known to be anywhere else than behind the vtep? */
bool told_is_elsewhere(struct worker *w, uint16_t net, uint16_t vtep, const struct told_news *news);
/** Worker. Takes over what is told of it, if it is behind the vtep. */
void told_take(struct worker *w, uint16_t net, uint16_t vtep, const struct told_news *news);

/* A backend here, as others are told of it. */
struct told_own {
	uint32_t id;
	uint16_t net;
	struct told_news news;
};

/** Control thread. Is there, or was there, a service whose policy wants it? */
bool told_is_wanted(const struct dp *dp);
/** Control thread. Backends of such services that are behind ports of this host, dp.config.backends at the most; returns how
 * many. */
unsigned told_find_own(struct dp *dp, struct told_own *own);
/** Control thread. Measures it, for this host too. False: its id is another's since it was found. */
bool told_measure(struct dp *dp, struct told_own *own);
/** Control thread. Had the host at the vtep a request for a backend here lately? */
bool told_has_asked(const struct dp *dp, uint16_t vtep);

/** Control thread. What is known now, and how old it is in milliseconds. False: nothing that is fresh. */
bool told_info(const struct dp *dp, uint32_t id, struct told *told, uint32_t *age_ms);
