/*
 * passive.c: what the switch sees of the backend's real connections. Nothing is probed: at its turn the
 * check asks how many were opened, answered and refused, and outlier.c judges. It begins as passing, for there
 * is no traffic that could prove anything while the backend gets none.
 */
#include <errno.h>
#include <stdio.h>

#include "registry/check/check.h"
#include "registry/check/outlier.h"

enum { FALL_MIN = 3 }; /* fewer connections prove nothing */

struct passive {
	bool begun;
	struct outlier outlier;
};

static struct passive *passive_of(struct check *check)
{
	return (struct passive *)check->own;
}

static int passive_valid(const struct reg_check *spec, struct reg_err *err)
{
	if (spec->fall >= FALL_MIN)
		return 0;
	snprintf(err->text, sizeof(err->text), "check.fall: %u is out of range %d..100 for passive",
		spec->fall, FALL_MIN);
	return -EINVAL;
}

/* False: the switch gives it no connections, and *traffic is all 0. */
static bool ask(const struct check *check, struct reg_traffic *traffic)
{
	const struct registry_sink *sink = check->all->sink;

	*traffic = (struct reg_traffic){0};
	return sink->traffic && check->target.service &&
	       sink->traffic(sink->ctx, check->target.service, check->target.address, check->target.port,
		       traffic) == 0;
}

static void begin(struct check *check)
{
	struct reg_traffic traffic;

	ask(check, &traffic);
	outlier_begin(&passive_of(check)->outlier, &traffic, wheel_now_us());
	passive_of(check)->begun = true;
}

static void count_others(void *arg, unsigned *able, unsigned *out)
{
	const struct check *check = arg;

	check->all->count_out(check->all, check->target.service, able, out);
}

static void passive_start(struct check *check)
{
	static const enum reg_health health[] = {
		[OUTLIER_IN] = REG_PASSING, [OUTLIER_OUT] = REG_CRITICAL, [OUTLIER_TRIAL] = REG_WARNING};
	const struct outlier_others others = {count_others, check};
	struct outlier *outlier = &passive_of(check)->outlier;
	struct reg_traffic traffic;
	enum outlier_state state;
	char text[128];

	if (!ask(check, &traffic)) {
		begin(check);
		check_found(check, REG_PASSING, "no vip gives it connections");
		return;
	}
	state = outlier_judge(outlier, check->spec, &traffic, wheel_now_us(), &others);
	outlier_say(outlier, check->spec, text, sizeof(text));
	check_found(check, outlier_is_slow(outlier, check->spec) ? REG_WARNING : health[state], text);
}

static void passive_stop(struct check *check) {}

static void passive_link(struct check *check, int state)
{
	if (state == 0) {
		passive_of(check)->begun = false;
		check_follow_port(check, state);
		return;
	}
	if (!passive_of(check)
			->begun) { /* else another check of the same target has found something already */
		begin(check);
		check_set(check, REG_PASSING, "no connection yet");
	}
	check_rest(check);
}

const struct check_type check_passive = {
	.name = "passive",
	.own = sizeof(struct passive),
	.valid = passive_valid,
	.start = passive_start,
	.stop = passive_stop,
	.link = passive_link,
};
