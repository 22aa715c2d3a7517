/*
 * hosts.h: one registry on many hosts. What is registered with this daemon's node is told as texts (JSON), and the texts of
 * other hosts are nodes and instances here. Who carries the texts is not known here. Control thread.
 *
 *   KEY      TEXT
 *   node     {"v": 1, "name", "id", "address", "meta", "tagged", "drained", "reason", "checks"}
 *   in/N     {"v": 1, "in": [{"service", "id", "address", "port", "weight", "tags", "meta", "checks", ...}]}
 *
 * Checks are made by the host that has the instance alone; the others are told what they found. A text is another one when
 * a definition or a health is, not when a check only says something else: what is said is as it was then. Who flaps is told
 * as ill until it has held for a while.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "addr/ip.h"

struct event_base;
struct hosts;
struct registry;

enum {
	HOSTS_TEXT = 65536, /* bytes of a text */
	HOSTS_CHUNK = 100,  /* instances of one */
	HOSTS_CHUNKS = 1024,
};

struct hosts_config {
	struct event_base *base;
	struct registry *reg;
	/** This daemon's texts are others than before; from the event loop. */
	void (*changed)(void *arg);
	/** All texts of the host are to be put again. */
	void (*again)(void *arg, const char *host);
	void *arg;
};

/** This daemon's texts are there when it returns. Texts are copied. -ENOMEM. */
int hosts_open(const struct hosts_config *config, struct hosts **out);
/** What it registered stays. Before the registry is freed. NULL is allowed. */
void hosts_close(struct hosts *hosts);

/** Calls fn for each of this daemon's texts, which are borrowed. */
void hosts_own(struct hosts *hosts, void (*fn)(void *arg, const char *key, const char *text), void *arg);

/** Of another host. 0, or -1 with the reason in *why (borrowed until the next call): what was known of it holds. */
int hosts_put(struct hosts *hosts, const char *host, const char *key, const char *text, size_t len,
	const char **why);
/** It has no such text any more. */
void hosts_drop(struct hosts *hosts, const char *host, const char *key);
/** Is the host lost? Then all that it has is critical, and nothing is taken away. `address`: of the host, if its node has none. */
void hosts_state(struct hosts *hosts, const char *host, bool lost, struct ip_addr address);
/** Brings the registry to all of it, which is otherwise done by and by. */
void hosts_apply(struct hosts *hosts);
/** Each second: what was refused is tried again. */
void hosts_tick(struct hosts *hosts);

struct hosts_info {
	size_t instances; /* of others */
	size_t refused;	  /* that the registry does not take, or whose node it does not */
	size_t told;	  /* of this daemon's */
	size_t untold;	  /* of this daemon's that are too long to be told */
};
struct hosts_info hosts_info(const struct hosts *hosts);
/** How many instances of the host are in the registry. */
size_t hosts_count(const struct hosts *hosts, const char *host);
