/* client.h: the daemon's control socket, from the other side. One request at a time. */
#pragma once

#include <jansson.h>

struct client;

/** Connects to `path`. NULL and one line on stderr when nobody answers. */
struct client *client_open(const char *path);
void client_close(struct client *client);

/**
 * Calls a method. `params` is taken over, may be NULL. Returns a new reference to the result, or NULL with
 * the daemon's message in `error` (of `size` bytes) and its number in *code (0: the connection broke).
 */
json_t *client_call(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code);

/** Waits for the next notification; NULL when the daemon closes the connection. New reference. */
json_t *client_next(struct client *client);
