/*
 * scope.h: is an object this host's own, or is it one of all hosts that share a store? Control thread.
 *
 * A global object is made once, by the API of any host, and is kept in the store. Each host makes it in its model from
 * there, with the source "global" (control/global), and what the API changes of it goes to the store, too. Networks, services
 * and what is published can be global.
 */
#pragma once

#include "control/api/api.h"

#define SCOPE_GLOBAL "global"
#define SCOPE_OF_FILE "what the configuration file has is this host's own: global objects are made by the API"

extern const char *const scope_choices[];

/* clang-format off */
#define SCOPE_FIELD {"scope", API_ENUM, "host: it is this host's own; global: of all hosts that share the etcd of `cluster` " \
	"(default host, of an object that is there as it is)", .choices = scope_choices}
/* clang-format on */

/* What keeps global objects. */
struct scope_global {
	void *arg;
	/** The state directory is this daemon's. 0, or -errno with `err`. */
	int (*open)(void *arg, struct api_err *err);
	/** All objects of the noun that are this host's own have been made again, at the start. */
	void (*made)(void *arg, const char *noun);
	/** A method's handler for them; API_AGAIN while the store is asked. */
	int (*change)(
		void *arg, const char *method, const json_t *params, json_t **result, struct api_err *err);
	/** Is that under way? The object may be gone from the model already. */
	bool (*changes)(void *arg, const char *method, const json_t *params);
	/** Of the object's last change in the store; 0: it has none. */
	int64_t (*revision)(const void *arg, const char *noun, const char *name);
};
/** Borrowed; NULL: there is none. */
void scope_attach(struct model *model, const struct scope_global *global);

/** As of struct scope_global; without one they do nothing. */
int scope_open(struct model *model, struct api_err *err);
void scope_made(struct model *model, const char *noun);

/**
 * Is the call about a global object? Then it has been answered: *rc, with *result or *err. `params` are validated, and lose
 * "scope".
 */
bool scope_takes(struct model *model, const char *method, const char *source, json_t *params, json_t **result,
	struct api_err *err, int *rc);

/** Puts "scope" and "revision" of an object of this source. */
void scope_put(
	const struct model *model, json_t *object, const char *noun, const char *name, const char *source);
