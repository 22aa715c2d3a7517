/*
 * scenario.h: what sluice-bench can measure. A scenario is one file and one line in the table (scenario/list.c):
 * turns.c sets each peer up for each count, and the scenario measures it.
 */
#pragma once

#include <stdatomic.h>

#include "bench/report/options.h"
#include "bench/report/report.h"

struct front;
struct peer;

/* One peer's turn with one count: the peer is up, and its ports have a front each. */
struct session {
	const struct options *o; /* sizes are the scenario's own where the user gave none */
	struct report *report;
	const atomic_bool *stop; /* end early, as good as can be */
	struct peer *peer;
	struct front **fronts; /* one for each port */
	unsigned n_fronts;
	unsigned turn;
	struct kind kind; /* scenario, count, first size; variant and other sizes are the scenario's to set */
	bool ipv6;	  /* what measure_generator() makes; the scenario's to set */
};

enum { SCENARIO_TWO_PORTS, SCENARIO_NO_PORTS = -1, SCENARIO_COUNT_PORTS = -2 /* as many as are counted */ };

struct scenario {
	const char *name; /* NULL ends the table */
	const char *help;
	const char *counts;						    /* what --count counts */
	unsigned sizes[OPTIONS_MAX_LIST], default_counts[OPTIONS_MAX_LIST]; /* until the first 0 */
	int ports;	  /* so many; or SCENARIO_TWO_PORTS, ... */
	bool small_pages; /* without huge pages whatever the options say */
	/** Measures and adds trials. 0, or -errno when something failed (already said on stderr). */
	int (*take)(struct session *s);
	unsigned ring;	 /* slots of the generator's rings at least; 0: whatever the options say */
	bool gives_way;	 /* with --realtime the bench itself goes before nobody: others share its core */
	bool or_a_proxy; /* a peer may also have no ports, and serve clients over TCP */
	unsigned least;	 /* bytes of its frames at least; 0: TRAFFIC_MIN, or a mixture */
	bool packed;	 /* packed rings whatever the options say */
};

extern const struct scenario scenarios[];

/** NULL: there is none of that name. */
const struct scenario *scenario_find(const char *name);

int answers_take(struct session *s);
int balance_take(struct session *s);
int balance_tcp_take(struct session *s);
int bulk_take(struct session *s);
int crowd_take(struct session *s);
int dns_take(struct session *s);
int failover_take(struct session *s);
int flood_take(struct session *s);
int idle_take(struct session *s);
int l2_ipv6_take(struct session *s);
int l2_take(struct session *s);
int latency_take(struct session *s);
int lb_full_take(struct session *s);
int lb_ipv6_take(struct session *s);
int lb_take(struct session *s);
int learn_take(struct session *s);
int memory_take(struct session *s);
int monitor_take(struct session *s);
int neighbours_take(struct session *s);
int reconfig_take(struct session *s);
int registry_take(struct session *s);
int vxlan_ipv6_take(struct session *s);
int vxlan_take(struct session *s);
