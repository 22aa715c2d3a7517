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
	uint64_t left_off; /* objects not listed on the page being written */
};

/** Writes the page; `arg` is the struct metrics. */
void metrics_write(void *arg, struct evbuffer *out);

/* registry.c */
void metrics_write_registry(struct metrics *metrics, struct evbuffer *out);

/* cluster.c */
void metrics_write_cluster(struct metrics *metrics, struct evbuffer *out);

/* peer.c */
void metrics_write_peers(struct metrics *metrics, struct evbuffer *out);

/* text.c */
enum metrics_kind { METRICS_GAUGE, METRICS_COUNTER, METRICS_HISTOGRAM };
/** Begins a family; its values follow. */
void metrics_family(struct evbuffer *out, const char *name, enum metrics_kind kind, const char *help);
/** One value with up to two labels; `label` NULL ends them. Label values may hold anything. */
void metrics_value(struct evbuffer *out, const char *name, const char *label, const char *text,
	const char *label2, const char *text2, double value);
/** A family of one value without labels. */
void metrics_single(
	struct evbuffer *out, const char *name, enum metrics_kind kind, const char *help, double value);

/* A counter that each object of a kind has: where it is in the struct that the dataplane fills, an uint64_t. */
struct metrics_counter {
	const char *name, *help;
	size_t at;
};
uint64_t metrics_counter_of(const struct metrics_counter *counter, const void *info);
