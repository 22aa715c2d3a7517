#include "registry/check/outlier.h"

#include <inttypes.h>
#include <stdio.h>

enum { HOLD_INTERVALS = 10, LEVEL_MAX = 6, SLOW_TIMES = 3 };

static uint64_t hold_us(const struct outlier *o, const struct reg_check *check)
{
	return (uint64_t)check->interval_ms * 1000 * HOLD_INTERVALS << (o->level - 1);
}

static void begin_counting(struct outlier *o, const struct reg_traffic *traffic, uint64_t now_us)
{
	o->base = o->last = *traffic;
	o->young = o->ripe = traffic->opened;
	o->young_us = now_us;
	o->slow = 0;
}

void outlier_begin(struct outlier *o, const struct reg_traffic *traffic, uint64_t now_us)
{
	*o = (struct outlier){.state = OUTLIER_IN};
	begin_counting(o, traffic, now_us);
}

/* Is it another backend that these are the counters of? */
static bool is_anew(const struct outlier *o, const struct reg_traffic *traffic)
{
	return traffic->opened < o->last.opened || traffic->answered < o->last.answered ||
	       traffic->refused < o->last.refused;
}

/*
 * Who failed since the last answer. Of those opened before the row began nothing is held against the backend
 * but a refusal; a withdrawn connection may have been any, so it is taken for one that would have failed.
 */
static void count_row(struct outlier *o, const struct reg_traffic *traffic)
{
	uint64_t asked = o->ripe > o->base.opened ? o->ripe - o->base.opened : 0, accounted;

	o->refused = traffic->refused - o->base.refused;
	accounted = o->refused + (uint32_t)(traffic->withdrawn - o->base.withdrawn);
	o->unanswered = asked > accounted ? asked - accounted : 0;
}

static void look_slow(struct outlier *o, const struct reg_traffic *traffic)
{
	if (!traffic->latency_us || traffic->latency_us <= (uint64_t)traffic->usual_us * SLOW_TIMES ||
		!traffic->usual_us)
		o->slow = 0;
	else if (o->slow < UINT32_MAX)
		o->slow++;
}

/* Takes in the counters; returns how many connections were answered since the last time. */
static uint64_t look(
	struct outlier *o, const struct reg_check *check, const struct reg_traffic *traffic, uint64_t now_us)
{
	uint64_t answered = traffic->answered - o->last.answered;

	if (is_anew(o, traffic)) {
		begin_counting(o, traffic, now_us);
		return 0;
	}
	if (now_us - o->young_us >= (uint64_t)check->timeout_ms * 1000) {
		o->ripe = o->young;
		o->young = traffic->opened;
		o->young_us = now_us;
	}
	if (answered)
		o->base = *traffic;
	look_slow(o, traffic);
	o->last = *traffic;
	return answered;
}

static void take_out(struct outlier *o, const struct reg_check *check, uint64_t now_us,
	const struct outlier_others *others)
{
	unsigned able, out;

	others->count(others->arg, &able, &out);
	o->spared = (out + 1) * 2 > able;
	if (o->spared)
		return;
	if (o->level < LEVEL_MAX)
		o->level++;
	o->state = OUTLIER_OUT;
	o->until_us = now_us + hold_us(o, check);
}

/* Backends that were fine when it was taken out may be gone by now. */
static bool too_many_out(const struct outlier_others *others)
{
	unsigned able, out;

	others->count(others->arg, &able, &out);
	return out * 2 > able;
}

static void judge_out(struct outlier *o, uint64_t now_us, const struct outlier_others *others)
{
	if (now_us < o->until_us && !too_many_out(others))
		return;
	begin_counting(o, &o->last, now_us);
	o->refused = o->unanswered = 0;
	o->proven = 0;
	o->state = OUTLIER_TRIAL;
}

enum outlier_state outlier_judge(struct outlier *o, const struct reg_check *check,
	const struct reg_traffic *traffic, uint64_t now_us, const struct outlier_others *others)
{
	uint64_t answered = look(o, check, traffic, now_us);

	o->spared = false;
	if (o->state == OUTLIER_OUT) {
		judge_out(o, now_us, others);
		return o->state;
	}
	count_row(o, traffic);
	if (o->state == OUTLIER_IN && now_us >= o->until_us)
		o->level = 0;
	if (o->refused + o->unanswered >= check->fall) {
		take_out(o, check, now_us, others);
		return o->state;
	}
	if (o->state == OUTLIER_TRIAL && answered) {
		o->proven += (uint32_t)answered;
		if (o->proven >= check->rise) {
			o->state = OUTLIER_IN;
			o->until_us = now_us + hold_us(o, check);
		}
	}
	return o->state;
}

bool outlier_is_slow(const struct outlier *o, const struct reg_check *check)
{
	return o->state == OUTLIER_IN && o->slow >= check->fall;
}

static void say_row(const struct outlier *o, char *text, size_t size)
{
	uint64_t all = o->refused + o->unanswered;

	if (!o->unanswered)
		snprintf(text, size, "%" PRIu64 " of %" PRIu64 " connections refused", all, all);
	else if (!o->refused)
		snprintf(text, size, "%" PRIu64 " of %" PRIu64 " connections unanswered", all, all);
	else
		snprintf(text, size,
			"%" PRIu64 " of %" PRIu64 " connections failed (%" PRIu64 " refused, %" PRIu64
			" unanswered)",
			all, all, o->refused, o->unanswered);
}

void outlier_say(const struct outlier *o, const struct reg_check *check, char *text, size_t size)
{
	bool fails = o->refused + o->unanswered;
	char row[96];

	say_row(o, row, sizeof(row));
	if (o->state == OUTLIER_OUT)
		snprintf(text, size, "%s, out for %g s", row, (double)hold_us(o, check) / 1e6);
	else if (fails && o->spared)
		snprintf(text, size, "%s, too few others to take it out", row);
	else if (o->state == OUTLIER_TRIAL)
		snprintf(text, size, "on trial: %s",
			fails	    ? row
			: o->proven ? "answers again"
				    : "no answer yet");
	else if (outlier_is_slow(o, check) && !fails)
		snprintf(text, size, "answers take %g ms, where %g ms are usual",
			(double)o->last.latency_us / 1e3, (double)o->last.usual_us / 1e3);
	else
		snprintf(text, size, "%s",
			fails		   ? row
			: o->last.answered ? "connections are answered"
					   : "no connection yet");
}
