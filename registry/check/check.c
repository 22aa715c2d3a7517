#include "registry/check/check.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/base/utf8.h"
#include "registry/check/curl.h"

enum { OUTPUT_SHORT = 127 }; /* bytes that are kept unless a check wants more */

/* One row for each type that is supported. */
static const struct check_type *const types[REG_CHECK_TYPES] = {
	[REG_CHECK_TTL] = &check_ttl,
	[REG_CHECK_TCP] = &check_tcp,
	[REG_CHECK_HTTP] = &check_http,
	[REG_CHECK_GRPC] = &check_grpc,
	[REG_CHECK_PORT] = &check_port,
	[REG_CHECK_PASSIVE] = &check_passive,
	[REG_CHECK_ALIAS] = &check_alias,
};

const struct check_type *check_type_of(enum reg_check_type type)
{
	return (unsigned)type < REG_CHECK_TYPES ? types[type] : NULL;
}

const char *reg_check_type_name(enum reg_check_type type)
{
	const struct check_type *known = check_type_of(type);

	if (type == REG_CHECK_NONE)
		return "none";
	return known ? known->name : "unknown";
}

static void arm(struct check *check, uint64_t due_us)
{
	wheel_set(&check->all->wheel, &check->timer, due_us);
}

uint64_t check_next_turn(uint64_t now_us, uint64_t interval_us, uint64_t phase_us)
{
	uint64_t turn = now_us - now_us % interval_us + phase_us % interval_us;

	return turn > now_us ? turn : turn + interval_us;
}

/* When the loop has been round once. */
static void pump_later(struct checks *all)
{
	static const struct timeval at_once;

	if (!event_pending(&all->pump, EV_TIMEOUT, NULL))
		event_add(&all->pump, &at_once);
}

static void count_delay(struct checks *all, uint64_t late_us)
{
	static const unsigned bounds_ms[REG_DELAYS - 1] = REG_DELAY_BOUNDS_MS;
	unsigned i = 0;

	while (i < REG_DELAYS - 1 && late_us > (uint64_t)bounds_ms[i] * 1000)
		i++;
	all->delays[i]++;
	all->delay_us += late_us;
}

/* False: it has been told that it may not. */
static bool may_probe(struct check *check)
{
	const char *network = check_network(check), *forbidden;
	char ip[IP_TEXT];

	if (!network) {
		check_done(check, CHECK_FAIL, "several networks have the address, and the service has none");
		return false;
	}
	forbidden = check_forbidden(check, network);
	if (!forbidden)
		return true;
	check_done(check, CHECK_FAIL, "not probed: %s is %s, and not in control.check_targets",
		ip_text(check->target.address, ip), forbidden);
	return false;
}

static void probe(struct check *check)
{
	uint64_t now = wheel_now_us();

	count_delay(check->all, now - check->timer.due_us);
	check->stage = CHECK_PROBING;
	check->all->running++;
	arm(check, now + (uint64_t)check->spec->timeout_ms * 1000);
	if (!check->type->aimed || may_probe(check))
		check->type->start(check);
}

static bool has_room(const struct checks *all)
{
	return all->running < CHECKS_RUNNING && all->light < CHECKS_LIGHT;
}

/* Begins a bounded number of probes a turn of the loop, so that everything else on it gets its turn too. */
static void on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct checks *all = arg;
	struct check *check;

	for (unsigned n = 0; n < CHECKS_TURN && has_room(all); n++) {
		check = TAILQ_FIRST(&all->waiting);
		if (!check)
			return;
		TAILQ_REMOVE(&all->waiting, check, queue);
		probe(check);
	}
	if (!TAILQ_EMPTY(&all->waiting) && has_room(all))
		pump_later(all);
}

int checks_init(struct checks *all, struct event_base *base, const struct registry_sink *sink)
{
	all->base = base;
	all->sink = sink;
	all->running = all->light = 0;
	all->ports = 1;
	all->requests = NULL;
	all->targets = NULL;
	all->ntarget = 0;
	all->bodies = false;
	memset(all->results, 0, sizeof(all->results));
	TAILQ_INIT(&all->waiting);
	event_assign(&all->pump, base, -1, 0, on_pump, all);
	check_pool_init(&all->pool, &all->wheel);
	syn_init(&all->syn, base, &all->wheel, sink);
	return wheel_init(&all->wheel, base);
}

void checks_close(struct checks *all)
{
	assert(all->running == 0 && all->light == 0 && TAILQ_EMPTY(&all->waiting));
	requests_close(all->requests);
	free(all->targets);
	all->targets = NULL;
	event_del(&all->pump);
	check_pool_close(&all->pool);
	syn_close(&all->syn);
	wheel_close(&all->wheel);
}

/* Back to rest from whatever the check is at. */
static void rest(struct check *check)
{
	struct checks *all = check->all;

	wheel_clear(&all->wheel, &check->timer);
	if (check->stage == CHECK_WAITING)
		TAILQ_REMOVE(&all->waiting, check, queue);
	if (check->stage == CHECK_PROBING) {
		if (check->light)
			all->light--;
		else
			all->running--;
		check->light = false;
		if (!TAILQ_EMPTY(&all->waiting))
			pump_later(all);
	}
	check->stage = CHECK_RESTING;
}

void check_lighten(struct check *check)
{
	check->light = true;
	check->all->running--;
	check->all->light++;
}

static void abandon(struct check *check)
{
	if (check->stage == CHECK_PROBING)
		check->type->stop(check);
	rest(check);
}

static void on_timer(void *arg)
{
	struct check *check = arg;

	if (check->stage == CHECK_PROBING) {
		count_delay(check->all, wheel_now_us() - check->timer.due_us);
		if (check->type->look)
			check->type->look(check);
		if (check->stage != CHECK_PROBING)
			return;
		check->type->stop(check);
		check_done(check, CHECK_FAIL, "timed out after %u ms", check->spec->timeout_ms);
	} else {
		check->stage = CHECK_WAITING;
		TAILQ_INSERT_TAIL(&check->all->waiting, check, queue);
		event_active(&check->all->pump, EV_TIMEOUT, 0); /* once for all that are due now */
	}
}

static void say(struct check *check)
{
	if (check->said)
		check->said(check->arg);
}

/* Keeps as much of the text as the specification allows, printable and as UTF-8: it may be a hostile server's. */
static void set_output(struct check *check, const char *text)
{
	size_t max = check->spec->output_max ? check->spec->output_max : OUTPUT_SHORT;
	size_t len = utf8_fits(text, max);
	char shown[REG_OUTPUT_MAX + 1];

	check->found = true;
	utf8_copy(shown, text, len);
	if (check->output && strcmp(check->output, shown) == 0)
		return;
	if (!check->output || len + 1 > check->room) {
		char *more = realloc(check->output, len + 1);

		if (!more) /* the result counts nevertheless */
			return;
		check->output = more;
		check->room = (uint16_t)(len + 1);
	}
	memcpy(check->output, shown, len + 1);
	say(check);
}

const char *check_output(const struct check *check)
{
	return check->output ? check->output : "";
}

static void set_health(struct check *check, enum reg_health health)
{
	if (check->health != health && health == REG_CRITICAL)
		check->critical_us = wheel_now_us();
	if (check->health == health && !check_overdue(check))
		return;
	check->health = health;
	say(check);
	check->changed(check->arg, check);
}

static void judge(struct check *check, enum check_result result)
{
	bool success = result != CHECK_FAIL;

	if (result == CHECK_UNKNOWN)
		return;
	if (success == check->good) {
		check->streak = 0;
	} else if (++check->streak >= (success ? check->spec->rise : check->spec->fall)) {
		check->good = success;
		check->streak = 0;
	}
	if (!check->good)
		set_health(check, REG_CRITICAL);
	else if (success)
		set_health(check, result == CHECK_WARN ? REG_WARNING : REG_PASSING);
	else if (check->spec->warn && check->streak >= check->spec->warn)
		set_health(check, REG_WARNING);
}

/* The turn is over; the next one is at its place in the next interval. */
static void end_turn(struct check *check)
{
	uint64_t now = wheel_now_us();

	assert(check->stage == CHECK_PROBING);
	rest(check);
	arm(check, check_next_turn(now, (uint64_t)check->spec->interval_ms * 1000, check->phase_us));
}

void check_done(struct check *check, enum check_result result, const char *fmt, ...)
{
	char text[REG_OUTPUT_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_output(check, text);
	check->all->results[result]++;
	end_turn(check);
	judge(check, result);
}

void check_found(struct check *check, enum reg_health health, const char *output)
{
	end_turn(check);
	set_output(check, output);
	set_health(check, health);
}

void check_rest(struct check *check)
{
	uint64_t now = wheel_now_us();

	abandon(check);
	if (check->spec->interval_ms)
		arm(check, now + (uint64_t)check->spec->interval_ms * 1000);
}

void check_beat(struct check *check, enum reg_health health, const char *output)
{
	check_rest(check);
	check->streak = 0;
	check->good = health != REG_CRITICAL;
	set_output(check, output);
	set_health(check, health);
}

const char *check_network(struct check *check)
{
	const struct checks *all = check->all;

	if (check->target.network[0] || !all->sink->home)
		return check->target.network;
	if (check->home_ports != all->ports) {
		check->home = all->sink->home(all->sink->ctx, check->target.address);
		check->home_ports = all->ports;
	}
	return check->home;
}

bool check_is_local(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
	case EADDRNOTAVAIL:
		return true;
	default:
		return false;
	}
}

void check_set(struct check *check, enum reg_health health, const char *output)
{
	check->good = health != REG_CRITICAL;
	check->health = health;
	say(check);
	set_output(check, output);
}

bool check_follow(struct check *check, enum reg_health health, const char *output)
{
	enum reg_health before = check->health;

	if (before != health && health == REG_CRITICAL)
		check->critical_us = wheel_now_us();
	check_set(check, health, output);
	return health != before;
}

void check_follow_port(struct check *check, int state)
{
	uint64_t now = wheel_now_us();

	abandon(check);
	if (state == 0) {
		check->streak = 0;
		check_set(check, REG_CRITICAL, "the port is down");
	} else {
		arm(check, now);
	}
}

struct check *check_new(struct checks *all, const struct reg_check *spec, const struct check_target *target,
	uint64_t seed, void (*changed)(void *arg, const struct check *check), void *arg)
{
	const struct check_type *type = check_type_of(spec->type);
	struct check *check = calloc(1, sizeof(*check) + type->own);

	if (!check)
		return NULL;
	check->all = all;
	check->type = type;
	check->spec = spec;
	check->target = *target;
	check->phase_us = seed - seed % CHECKS_STEP_US;
	check->changed = changed;
	check->arg = arg;
	check->stage = CHECK_RESTING;
	check->critical_us = wheel_now_us();
	check_set(check, spec->has_initial ? spec->initial : REG_CRITICAL, "no result yet");
	check->found = false;
	if (spec->type == REG_CHECK_ALIAS)
		LIST_INSERT_HEAD(&all->aliases, check, alias_link);
	wheel_timer_init(&check->timer, on_timer, check);
	return check;
}

void check_free(struct check *check)
{
	if (!check)
		return;
	abandon(check);
	if (check->spec->type == REG_CHECK_ALIAS)
		LIST_REMOVE(check, alias_link);
	free(check->output);
	free(check);
}

void check_inherit(struct check *check, const struct check *old)
{
	check->streak = 0;
	check->good = old->good;
	check->critical_us = old->critical_us;
	check->health = old->health;
	set_output(check, check_output(old));
	check->found = old->found;
	memcpy(check->own, old->own, check->type->own);
}

bool check_overdue(const struct check *check)
{
	return check->spec->reap_ms && check->health == REG_CRITICAL &&
	       wheel_now_us() - check->critical_us >= (uint64_t)check->spec->reap_ms * 1000;
}

void check_start(struct check *check, int port)
{
	check_link(check, port);
}

void check_link(struct check *check, int state)
{
	check->type->link(check, state);
}
