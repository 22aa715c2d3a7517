/*
 * metrics.h: what the daemon counts, as a page in Prometheus' text format. Control thread.
 *
 *   metrics.c    the daemon, its networks, ports and workers
 *   peer.c       the hosts that BFD watches
 *   registry.c   services, backends, checks, the HTTP API, DNS
 *   text.c       the format
 *
 * Series are bounded: at most METRICS_EACH objects of a kind are listed one by one, and how many were left
 * off is a metric itself. No label holds what a client of a service chooses.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct consul;
struct evbuffer;
struct dns;
struct http;
struct model;

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum { METRICS_EACH = 2000 };

struct metrics {
	struct model *model;
	const struct consul *consul;
	const struct http *http;
	const struct dns *dns;
	/* of the page being written: */
	struct evbuffer *out;
	const char *family; /* whose values come */
	uint64_t left_off;  /* objects not listed */
};

/** Writes the page; `arg` is the struct metrics. */
void metrics_write(void *arg, struct evbuffer *out);

/* What another file writes of it. */
void metrics_write_registry(struct metrics *m);
void metrics_write_cluster(struct metrics *m);
void metrics_write_peers(struct metrics *m);

/* text.c */
/** Begins a family, of counters if its name ends in _total and else of gauges; its values follow. */
void metrics_family(struct metrics *m, const char *name, const char *help);
void metrics_histogram(struct metrics *m, const char *name, const char *help);
/** One value with a label, whose text may hold anything; `label` NULL: without. */
void metrics_value(struct metrics *m, const char *label, const char *text, double value);
void metrics_value2(struct metrics *m, const char *label, const char *text, const char *label2,
	const char *text2, double value);
struct metrics_label {
	const char *label, *text;
};
/** One value with all of these. */
void metrics_labelled(struct metrics *m, const struct metrics_label *labels, size_t n, double value);
/** A family of one value without labels. */
void metrics_single(struct metrics *m, const char *name, const char *help, double value);

/* A counter that each object of a kind has: where it is in the struct that the dataplane fills, an uint64_t. */
struct metrics_counter {
	const char *name, *help;
	size_t at;
};
double metrics_counter_of(const struct metrics_counter *counter, const void *info);
