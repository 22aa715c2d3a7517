/*
 * set.h: the checks of one backend or node. A new list of them is prepared beside the one at work, which
 * may fail, and then takes its place, which cannot: what both lists have goes on undisturbed.
 */
#pragma once

#include "registry/check/check.h"

struct check_set {
	struct check **item; /* in the order of the specifications */
	uint16_t count;
};

/* A list of specifications, which lasts as long as the checks made of it. */
struct check_specs {
	const struct reg_check *item;
	uint16_t count;
};

/* Whose checks they are. */
struct check_owner {
	struct check_target target;			       /* unless a specification has another */
	uint64_t seed;					       /* places them in their intervals */
	void (*changed)(void *arg, const struct check *check); /* see check_new() */
	void (*said)(void *arg); /* what one says is different; changes nothing */
	void *arg;
};

/**
 * Prepares in `next` what `now` becomes by `specs`: with `keep` only what is new or different. Errors: -ENOMEM,
 * then `next` is empty.
 */
int check_set_prepare(struct check_set *next, const struct check_set *now, struct check_specs specs,
	const struct check_owner *owner, struct checks *all, bool keep);
/**
 * `next`, prepared with these specifications, takes the place of `now` and is empty then. With `keep` a check
 * takes over what the one with its id has found, if that is of its type. The new ones begin; `port` as for
 * check_start().
 */
void check_set_swap(
	struct check_set *now, struct check_set *next, struct check_specs specs, int port, bool keep);
/** Checks with the ids and types of old ones take over what those have found. */
void check_set_inherit(
	struct check_set *set, const struct check_set *old, bool (*of)(const struct check *check));
/** Frees them; the set is empty then. */
void check_set_clear(struct check_set *set);

/** The switch port that has the target's address changed. */
void check_set_link(struct check_set *set, int state);
/** The first of those with the worst health, NULL: there are none. */
const struct check *check_set_worst(const struct check_set *set);
/** The first that is overdue, NULL: none. */
const struct check *check_set_overdue(const struct check_set *set);
/** What the i-th has found. False: there are no more. */
bool check_set_result(const struct check_set *set, unsigned i, struct reg_result *result);
/**
 * A word for the ttl check called `id` (NULL: the first ttl check). Errors: -ENOENT, -ENOTSUP (it is of another
 * type).
 */
int check_set_beat(struct check_set *set, const char *id, enum reg_health health, const char *output);
