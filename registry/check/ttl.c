/*
 * ttl.c: the backend says itself how it is, at least once an interval (check_beat()). Who stays silent
 * is critical. Without an interval a word holds until the next.
 */
#include "registry/check/check.h"

/* The interval has passed without a word: one silence is enough. */
static void ttl_start(struct check *check)
{
	if (check->good)
		check->streak = (uint8_t)(check->spec->fall - 1);
	check_done(check, CHECK_FAIL, "TTL expired");
}

static void ttl_stop(struct check *check) {}

static void ttl_link(struct check *check, int state)
{
	check_rest(check); /* the link says nothing about the backend's word, but time begins anew */
}

const struct check_type check_ttl = {
	.name = "ttl",
	.start = ttl_start,
	.stop = ttl_stop,
	.link = ttl_link,
};
