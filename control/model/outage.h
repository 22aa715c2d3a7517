/*
 * outage.h: what the daemon should have and lacks for now: servers whose address somebody else has, and files of the
 * state directory that lack changes which are in effect, because the disk refused them. Control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum outage {
	OUTAGE_HTTP,
	OUTAGE_DNS,
	OUTAGE_DOCKER,
	OUTAGE_SERVERS,			 /* how many servers there are; the files follow */
	OUTAGE_OBJECTS = OUTAGE_SERVERS, /* STATE_DIR_OBJECTS */
	OUTAGE_REGISTRY,		 /* STATE_DIR_REGISTRY */
	OUTAGE_DOCKER_LOG,		 /* STATE_DIR_DOCKER */
	OUTAGES,
};

/* Zeroed: nothing is lacking. */
struct outages {
	struct {
		char address[108], why[96]; /* "": it is there */
		struct timespec since;	    /* CLOCK_MONOTONIC */
		uint64_t times;		    /* that this began */
	} each[OUTAGES];
};

/** Why it is lacking from now on, NULL: it is there. `address`: of a server, else "". True when that was not known. */
bool outage_set(struct outages *all, enum outage which, const char *address, const char *why);

/** Why it is lacking, NULL: it is not. */
const char *outage_why(const struct outages *all, enum outage which);

/** What a server or file is called. */
const char *outage_name(enum outage which);

/** The file of that name; OUTAGES: there is none. */
enum outage outage_of_file(const char *name);

/** The servers that do listen, as `status` shows them: [{server, address}], a new reference. */
json_t *outage_listening_json(const struct outages *all);

/** As `status` shows them, new references: [{server, address, why, since_s}] and [{file, why, since_s}] of what lacks. */
json_t *outage_servers_json(const struct outages *all);
json_t *outage_files_json(const struct outages *all);
