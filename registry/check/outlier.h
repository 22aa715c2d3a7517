/*
 * outlier.h: is a backend out for what its traffic looks like? The judge of passive checks: counters and the
 * time go in, a verdict comes out, and nothing else is known here.
 *
 * A connection that the backend refuses, or leaves without an answer for timeout_ms, failed; any answer ends
 * the row. `fall` in a row take it out for a hold of ten intervals. Then it is let in on trial: `rise` answers
 * prove it well, `fall` failures take it out again for twice as long, up to 320 intervals (the shape of Envoy's
 * outlier detection, https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier). Only
 * what failed in a row counts, not a share of all: a client that sends what needs no answer, by mistake or on
 * purpose, so cannot take out a backend that answers others.
 *
 * At most half of a service is out for its traffic alone, of those that could be given connections otherwise.
 * When more than that look ill, it is likely not they (the clients are, or this host), and if it is they, those
 * who are left could not carry the load. It follows that a backend without another one beside it stays in.
 *
 * Where it is measured how long answers take, one whose answers take more than three times the median of its service at
 * `fall` turns in a row is slow. That is told, and takes nobody out. It stays so until its next answers are quicker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/registry.h"

enum outlier_state {
	OUTLIER_IN,
	OUTLIER_OUT,
	OUTLIER_TRIAL, /* let in again, not proven well yet */
};

struct outlier {
	enum outlier_state state;
	bool spared;		       /* it would be out, but for the others that are */
	uint8_t level;		       /* how often the hold is doubled, + 1; 0: it was not out lately */
	uint32_t proven;	       /* answers on trial */
	uint32_t slow;		       /* turns in a row at which it was three times as slow as is usual */
	uint64_t refused, unanswered;  /* of the row: that failed */
	struct reg_traffic base, last; /* where the row begins; as last seen */
	/* Connections opened until young_us, and until at least timeout_ms before: these are judged. */
	uint64_t young, young_us, ripe;
	uint64_t until_us; /* out: when the hold ends; in: when `level` is forgotten */
};

/* The backends of the service: how many could be given connections but for their traffic, and how many of these
 * are out for it. Asked only when it matters. */
struct outlier_others {
	void (*count)(void *arg, unsigned *able, unsigned *out);
	void *arg;
};

/** Begins: the backend is in, and what came before `traffic` says nothing. */
void outlier_begin(struct outlier *o, const struct reg_traffic *traffic, uint64_t now_us);

/** An interval has passed. `check` gives interval_ms, timeout_ms, rise and fall. */
enum outlier_state outlier_judge(struct outlier *o, const struct reg_check *check,
	const struct reg_traffic *traffic, uint64_t now_us, const struct outlier_others *others);

/** Is it in, and slow? After outlier_judge(). */
bool outlier_is_slow(const struct outlier *o, const struct reg_check *check);

/** The verdict in words. */
void outlier_say(const struct outlier *o, const struct reg_check *check, char *text, size_t size);
