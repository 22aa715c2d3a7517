/*
 * check.h: what monitors a backend. A check probes its target at its interval and turns the results into a
 * health by rise and fall; a type of check knows only how to probe once. Knows nothing of the service table.
 *
 * Probes are spread over the interval by a stable hash, so that ten thousand checks made in one go do not
 * fire in one go for ever after; at most CHECKS_RUNNING are under way, the others wait their turn.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "registry/base/wheel.h"
#include "registry/check/pool.h"
#include "registry/probe/syn.h"
#include "registry/registry.h"

enum {
	CHECKS_RUNNING = 1024, /* probes under way at most, a socket each */
	CHECKS_LIGHT = 16384,  /* and without one */
	CHECKS_TURN = 64,      /* probes begun in one turn of the event loop at most */
	CHECKS_STEP_US = 4000, /* turns are this far apart, so that one wake-up begins several probes */
};

struct requests;

/* What all checks of a registry share. */

struct checks {
	struct event_base *base;
	const struct registry_sink *sink;
	struct wheel wheel;
	struct check_pool pool;
	struct syn syn;
	unsigned running, light;     /* probes under way: with a socket of their own, and without */
	uint64_t ports;		     /* rises with every change of a switch port */
	uint64_t delays[REG_DELAYS]; /* see reg_checks_info */
	uint64_t delay_us;
	uint64_t results[REG_CHECK_RESULTS];	/* by enum check_result */
	TAILQ_HEAD(check_queue, check) waiting; /* due, but not begun */
	struct event pump;			/* begins those that wait */
	LIST_HEAD(, check) aliases;		/* those that follow the health of others */
	struct requests *requests;		/* those over HTTP; NULL: none yet */
	struct ip_prefix *targets;		/* that probes from the host may go to, whatever is there */
	size_t ntarget;
	bool bodies; /* probes from the host tell of the bodies of answers, too */
	/** How many backends of the service could be given connections, whatever their traffic looks like, and
	 * how many of them are out for that alone. */
	void (*count_out)(struct checks *all, const char *service, unsigned *able, unsigned *out);
};

/** Errors: -errno, no descriptor left for the timer. */
int checks_init(struct checks *all, struct event_base *base, const struct registry_sink *sink);
/** Every check has been freed before. */
void checks_close(struct checks *all);

/* What a check probes. */
struct check_target {
	const char *network; /* "": the host's own; borrowed as long as the check lives, as is the next */
	const char *service;
	struct ip_addr address;
	uint16_t port;
};

enum check_result {
	CHECK_PASS,
	CHECK_WARN,
	CHECK_FAIL,
	CHECK_UNKNOWN, /* this side could not probe (no socket left): says nothing about the target */
};

struct check;

struct check_type {
	const char *name; /* as it is shown, and asked for */
	/* It probes the target: through the network that this is in. */
	bool aimed;
	size_t own; /* bytes of the type's own in each check, 0 at first */
	/** The type's own rules for its specification. NULL: none. Errors: -EINVAL. */
	int (*valid)(const struct reg_check *spec, struct reg_err *err);
	/** Begins a probe, which ends by check_done(), maybe at once. NULL: this type does not probe. */
	void (*start)(struct check *check);
	/** The probe under way is out of time: ends it if the answer is there, for this side may be the one that
	 * is late. NULL: it never is. */
	void (*look)(struct check *check);
	/** Abandons the probe under way: it is deleted, or out of time. */
	void (*stop)(struct check *check);
	/** The switch port that has the target's address is up (1), down (0), or there is none (-1). */
	void (*link)(struct check *check, int state);
};

extern const struct check_type check_tcp, check_ttl, check_http, check_grpc, check_port, check_passive,
	check_alias;

/** NULL: not supported. */
const struct check_type *check_type_of(enum reg_check_type type);

enum check_stage {
	CHECK_RESTING, /* until its next turn, for ever when its port is down */
	CHECK_WAITING, /* its turn has come, others are under way */
	CHECK_PROBING,
};

struct check {
	struct checks *all;
	const struct check_type *type;
	const struct reg_check *spec; /* belongs to whoever made the check, and outlives it */
	struct check_target target;
	const char *home;    /* the network that the target's address is in, as of... */
	uint64_t home_ports; /* ...so many changes of ports */
	void (*changed)(void *arg, const struct check *check);
	void (*said)(
		void *arg); /* whenever what is shown of it is different, also if nothing follows from that; or NULL */
	void *arg;
	uint64_t phase_us;	  /* where in the interval its turn is */
	struct wheel_timer timer; /* the next turn, or the end of the probe under way */
	TAILQ_ENTRY(check) queue;
	enum check_stage stage;
	bool light;	/* the probe under way is one of CHECKS_LIGHT */
	bool found;	/* anything at all since it was made */
	bool good;	/* `rise` successes since `fall` failures */
	uint8_t streak; /* results in a row that contradict `good` */
	enum reg_health health;
	uint64_t critical_us;			/* since when it is critical; only with spec->reap_ms */
	char *output;				/* the last result in words, UTF-8; NULL: "" */
	uint16_t room;				/* for that, with its end */
	LIST_ENTRY(check) alias_link;		/* of an alias */
	void *probe;				/* the type's own, while probing */
	_Alignas(uint64_t) unsigned char own[]; /* check_type.own bytes, which last */
};

/**
 * Makes a check that rests until check_start(). `seed` places it in the interval; changed(arg) is called
 * whenever its health is another and while it is overdue, never from inside one of the calls below. NULL: no
 * memory.
 */
struct check *check_new(struct checks *all, const struct reg_check *spec, const struct check_target *target,
	uint64_t seed, void (*changed)(void *arg, const struct check *check), void *arg);
/** NULL is allowed. */
void check_free(struct check *check);

/** Takes over what `old`, of the same type and target, has found. */
void check_inherit(struct check *check, const struct check *old);
/** What the last result was, in words. */
const char *check_output(const struct check *check);
/** Has it been critical for the specification's reap_ms? */
bool check_overdue(const struct check *check);
/** Begins; `port` is the state of the switch port that has the target's address, -1: there is none. */
void check_start(struct check *check, int port);
/** That port changed. */
void check_link(struct check *check, int state);

/** For types: ends the probe under way. The text is what the user reads as the check's output. */
void check_done(struct check *check, enum check_result result, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * For ttl: the backend says that it is well (or not), which holds for an interval; thresholds do not count.
 * Calls changed() before it returns.
 */
void check_beat(struct check *check, enum reg_health health, const char *output);
/** For types: the probe that just began takes no socket. */
void check_lighten(struct check *check);
/** For types: the next turn comes a whole interval from now. */
void check_rest(struct check *check);

/** For types that are aimed: where a probe that begins now starts: in this network, or in the host when "". */
const char *check_network(struct check *check);
/** A probe that would start in `network`: NULL, or what the target is that it must not go to ("link-local"). */
const char *check_forbidden(const struct check *check, const char *network);
/** For types: may the output have text of the answer's body? */
bool check_tells_body(struct check *check);
/** For types: is this errno one of this side's own making (no socket left)? */
bool check_is_local(int error);

/** For types that judge for themselves: ends the turn with this health, without rise and fall. */
void check_found(struct check *check, enum reg_health health, const char *output);

/** For types that do not probe: sets the health without rise and fall. Does not call changed(). */
void check_set(struct check *check, enum reg_health health, const char *output);
/** For alias: as check_set(). True when that is another health. */
bool check_follow(struct check *check, enum reg_health health, const char *output);

/** For types, as `link`: no probes while the port is down, and the target must prove itself anew afterwards.
 */
void check_follow_port(struct check *check, int state);

/** The next time after now_us that lies `phase_us` into an interval (both counted from time 0). */
uint64_t check_next_turn(uint64_t now_us, uint64_t interval_us, uint64_t phase_us);
