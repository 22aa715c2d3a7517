/*
 * curl.h: one request by libcurl, for the checks that speak HTTP. All requests of a registry run on its
 * event loop through one multi handle; each has a connection of its own, made inside the service's network
 * and closed by a reset, since whether a new connection can be made is part of what a check asks.
 *
 * A request never leaves the backend's address: no redirect is followed, no proxy used, no name looked up.
 */
#pragma once

#include <curl/curl.h>

#include "registry/check/check.h"

struct request {
	struct check *check;
	CURL *easy;
	struct curl_slist *headers;
	/** The answer is there, or rc says why not: judge it by check_done(). */
	void (*done)(struct check *check, const struct request *request, CURLcode rc);
	long code;	/* of HTTP */
	int rpc_status; /* of gRPC, -1: not told */
	int error;	/* errno of a socket that could not be opened */
	size_t len;	/* of the body, which may be more than was kept */
	char why[CURL_ERROR_SIZE];
	size_t room;
	char answer[]; /* up to `room` bytes of it, ended */
};

/**
 * A request for `path` ("/...") at the check's target over http or, with the check's `tls`, https; to be
 * given more options and begun. NULL: no memory, or no libcurl.
 */
struct request *request_new(struct check *check, const char *path,
	void (*done)(struct check *check, const struct request *request, CURLcode rc));
/** A header line; what finds no memory fails the request when it begins. */
void request_header(struct request *request, const char *line);
/** Begins it as the check's probe, which ends by `done`; takes it over, also when that fails at once. */
void request_begin(struct request *request);
/** As check_type.stop. */
void request_stop(struct check *check);

/** Fails the check, or says that this side could not ask, when there was no answer. True when there was. */
bool request_answered(struct check *check, const struct request *request, CURLcode rc);

/** When the last check has been freed. NULL is allowed. */
struct requests;
void requests_close(struct requests *all);
