/* client.h: the daemon's control socket, from the other side. One request at a time. */
#pragma once

#include <jansson.h>

struct client;

enum { CLIENT_ERROR = 512 };

/* The daemon's numbers for why it refuses (enum api_code). */
enum client_code {
	CLIENT_INVALID = -32602,
	CLIENT_NOT_FOUND = -32001,
	CLIENT_EXISTS = -32002,
	CLIENT_IN_USE = -32003,
	CLIENT_UNSUPPORTED = -32004,
	CLIENT_INTERNAL = -32005,
	CLIENT_CONFLICT = -32007,
};

/* How the user names the two to the program, for what it is told when they are wrong. */
struct client_names {
	const char *socket, *timeout; /* "--socket", "--timeout"; NULL: the time is not the user's to say */
};

/**
 * Connects to `path`. From then on the daemon may be silent for `timeout_s` at most while it owes an answer
 * (0: for ever). NULL and one line in `error`, which says why and what to do, when that fails.
 */
struct client *client_open(
	const char *path, unsigned timeout_s, const struct client_names *names, char error[CLIENT_ERROR]);
void client_close(struct client *client);

/**
 * Calls a method. `params` is taken over, may be NULL. Returns a new reference to the result, or NULL with
 * the daemon's message in `error` (of `size` bytes) and its number in *code (0: the connection broke, or the
 * time was up; nothing more can be asked then).
 */
json_t *client_call(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code);

/** The same, answered when what it has changed is on disk. */
json_t *client_call_durable(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code);

/** Waits for the next notification, however long; NULL when the daemon closes the connection. New reference.
 */
json_t *client_next(struct client *client);
