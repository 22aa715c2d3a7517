/*
 * metric.h: everything that a trial may measure. A new figure is one line in the table (metric.c) and one
 * name here; tables, JSON, ratios, goals and plots then have it.
 */
#pragma once

#include <stdbool.h>

enum metric {
	METRIC_MPPS,	     /* frames delivered, both directions summed */
	METRIC_GBPS,	     /* gigabits of TCP payload a second */
	METRIC_CYCLES,	     /* of the switch's worker for each of them, without polls that found nothing */
	METRIC_BUSY,	     /* percent of the worker's time that those are */
	METRIC_NDR,	     /* the greatest rate at which nothing is lost, in Mpps (search.h) */
	METRIC_PDR,	     /* ... at most half a percent */
	METRIC_CPU,	     /* percent of a core that all threads of the switch take */
	METRIC_LOSS,	     /* percent of what was sent */
	METRIC_LEARNED,	     /* percent of the addresses shown that the switch's table then holds */
	METRIC_RSS_ANON,     /* MB of memory that the switch has for itself */
	METRIC_RSS_SHARED,   /* MB that it maps besides: its program, its guests' memory */
	METRIC_LATENCY_P50,  /* microseconds from port to port that half of the frames need at most */
	METRIC_LATENCY_P99,  /* ... 99 in 100 */
	METRIC_LATENCY_P999, /* ... 999 in 1,000 */
	METRIC_LATENCY_MAX,  /* ... all of them */
	METRIC_LATENCY_TAIL, /* p99 over p50 */
	METRIC_ANSWERS,	     /* of a registry, a second */
	METRIC_ANSWER,	     /* microseconds of processor time of the server for each */
	METRIC_OFFERED,	     /* questions over the greatest number of answers in the trials right before */
	METRIC_OF_PEAK,	     /* answers over that */
	METRIC_EACH,	     /* bytes of memory for each of what a scenario counts */
	METRIC_PARKED,	     /* MB that those who wait take */
	METRIC_PROBES,	     /* of checks, a second */
	METRIC_PROBE,	     /* microseconds of the control thread for each */
	METRIC_CONTROL,	     /* percent of a core that the control thread takes */
	METRIC_LATE_P99,     /* milliseconds by which 99 in 100 turns of checks come late at most */
	METRIC_LATE_MAX,     /* ... all of them; 1,000: more than 100 */
	METRIC_LATE,	     /* turns that came more than 50 ms late */
	METRIC_CHANGES,	     /* of the switch's configuration, or readings of it, beside the traffic */
	METRIC_CHANGE,	     /* milliseconds that one of them took whoever asked for it */
	METRIC_BLOCKED,	     /* milliseconds' worth of the traffic that were lost: loss over load */
	METRIC_GAP_P999, /* microseconds: the longest that the worker stayed away in 999 of 1,000 milliseconds
			  */
	METRIC_GAP_MAX,	 /* ... in all of them */
	METRIC_GAP_ADDED,  /* microseconds by which the former is longer than without changes */
	METRIC_BESIDE,	   /* p99 over that of the quiet trial right before */
	METRIC_LOSS_ADDED, /* percent lost beyond what the quiet trial right before lost */
	METRIC_BALANCER,   /* microseconds of processor time of a balancer's processes for each request */
	METRIC_BALANCING,  /* ... of which so many are for balancing, where they also carry the packets */
	METRICS
};

struct metric_info {
	const char *name;    /* in JSON */
	const char *heading; /* in tables */
	int digits;	     /* after the point */
	bool spread;	     /* tables show the least and greatest value too */
	bool ratio;	     /* peers are compared by it */
};

/** Never NULL for a metric of the enumeration. */
const struct metric_info *metric_info(enum metric metric);
