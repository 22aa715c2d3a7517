/*
 * not_listening.h: which of the daemon's servers do not have the address that they should, because somebody else has
 * it. Control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

enum not_listening_server { NOT_LISTENING_HTTP, NOT_LISTENING_DNS, NOT_LISTENING_SERVERS };

/* Zeroed: all of them listen, or need not. */
struct not_listening {
	struct {
		char address[64], why[96]; /* "": it listens */
		struct timespec since;	   /* CLOCK_MONOTONIC */
	} servers[NOT_LISTENING_SERVERS];
};

/** Why the server does not listen on `address` since now, NULL: it does. True when that was not known. */
bool not_listening_set(
	struct not_listening *all, enum not_listening_server server, const char *address, const char *why);

/** What a server is called. */
const char *not_listening_name(enum not_listening_server server);

/** Does it not have its address? */
bool not_listening_is(const struct not_listening *all, enum not_listening_server server);

/** As `status` shows it: [{server, address, why, since_s}] of those that do not, a new reference. */
json_t *not_listening_json(const struct not_listening *all);
