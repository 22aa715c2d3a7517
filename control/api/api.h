/*
 * api.h: a method of the API, declared once. The rows beside the handlers give dispatch, validation, the CLI,
 * `api.describe`, docs/api.md and the bad-input test. Control thread only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "registry/registry.h"

struct model; /* model.h: the daemon's objects by name */

/* Stable numbers, as JSON-RPC error codes (application range). */
enum api_code {
	API_INVALID = -32602, /* a parameter is missing, unknown, mistyped or out of range */
	API_NOT_FOUND = -32001,
	API_EXISTS = -32002,
	API_IN_USE = -32003,
	API_UNSUPPORTED = -32004,
	API_AGAIN = -32006,    /* not yet: whoever called waits, and calls again (model_on_again()) */
	API_CONFLICT = -32007, /* another host changed the same at the same time */
	API_INTERNAL = -32005, /* the system refused: out of memory, a socket that could not be opened */
};

enum { API_TEXT = 512 }; /* bytes of a line for people; all fields of a method fit, by name */

struct api_err {
	enum api_code code;
	char text[API_TEXT]; /* one line that begins with the field where there is one: "vni: out of
			   range 1..16777215" */
};

/** Fills `err` with "field: message" (or the message alone when field is NULL) and returns -1. */
int api_fail(struct api_err *err, enum api_code code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* What a field holds; each type is checked before the handler runs, so a handler never meets a malformed
 * value. */
enum api_type {
	API_STRING,   /* min..max bytes of printable UTF-8 */
	API_NAME,     /* [a-z0-9][a-z0-9._-]{0,62} */
	API_SERVICE,  /* 1..255 bytes of printable UTF-8: services that clients registered */
	API_INT,      /* min..max */
	API_QUANTITY, /* "250M", or an integer: quantity.h */
	API_BOOL,
	API_ENUM,     /* one of choices */
	API_IP4,      /* "10.1.0.1" */
	API_IP,	      /* "10.1.0.1", "fd00::1"; handlers find it as ip_text() writes it */
	API_CIDR4,    /* "10.1.0.0/24", host bits zero */
	API_CIDR,     /* "10.1.0.0/24", "fd00::/64", host bits zero */
	API_ADDR,     /* "192.0.2.1/24", "fd00::1/64": an address with its prefix */
	API_MAC,      /* "02:00:00:00:00:11", unicast, not zero */
	API_SOURCE,   /* "02:00:00:00:00:11", or with a prefix: "02:00:00:00:00:11 10.1.0.9/32" */
	API_PATH,     /* absolute, min..max bytes */
	API_HOSTPORT, /* "10.1.0.12:8080", "[fd00::12]:8080" */
	API_LIST,     /* of `item` elements, min..max of them, no duplicates */
	API_OBJECT,   /* of `fields` */
	API_MAP, /* {"app.kubernetes.io/name": "web"}: at most `max` texts of up to API_MAP_VALUE bytes by
			 keys of letters, digits and ._/-, up to API_MAP_KEY bytes */
};

enum { API_MAP_KEY = 127, API_MAP_VALUE = 255 };

struct api_field {
	const char *name; /* NULL ends a list of fields */
	enum api_type type;
	const char *help;
	bool required;
	bool positional;  /* positional on the command line: NAME, SERVICE, ADDRESS:PORT */
	int64_t min, max; /* API_INT: value; strings, paths, lists: length; both 0: the type's own limits */
	const char *const *choices; /* API_ENUM; NULL-terminated */
	const char *def; /* default as JSON text; the handler finds it filled in. NULL: absent stays absent */
	enum api_type item;		/* API_LIST */
	const struct api_field *fields; /* API_OBJECT, and API_LIST of them */
};

/**
 * Runs with validated `params` (borrowed; defaults filled in, no unknown keys). Returns 0 with a new
 * reference in *result, or -1 with *err filled and nothing changed. `source` says who asks: "api", "config",
 * ...
 */
/* The head of one: static API_HANDLER(port_add) { ... } */
#define API_HANDLER(name)                                                                                    \
	int name(struct model *model, const char *source, json_t *params, json_t **result,                   \
		struct api_err *err)
typedef API_HANDLER((*api_handler));

/**
 * A part of a list that may be very long: appends what comes from *at ({0}: the beginning) on to `list`, at
 * most what takes a millisecond or two, and moves *at. False: that was the end. `params` as fn saw them, but
 * without defaults; what they name may be gone meanwhile, which ends the list.
 */
struct api_at {
	uint64_t n;		/* of tables with numbers */
	struct reg_cursor name; /* of the registry */
};
typedef bool (*api_part)(struct model *model, const json_t *params, struct api_at *at, json_t *list);

/** The same as text of the result, of any shape, each part appended to `out`. */
struct evbuffer;
typedef bool (*api_text)(struct model *model, const json_t *params, struct api_at *at, struct evbuffer *out);

/* Who watches: a connection. */
struct api_watcher {
	/** A notification's method and its parameters (a new reference). */
	void (*changed)(void *arg, const char *method, json_t *params);
	/**
	 * What is called `name` changed, and is too large to send here: it is sent in parts later
	 * (api_watch.text).
	 */
	void (*large)(void *arg, const char *name);
};

/* What a connection receives after it has called a method. A connection may have each kind once. */
struct api_watch {
	/** `params` are the request's. 0 with *watch, which close() ends, or -1 with *err. */
	int (*open)(struct model *model, const json_t *params, const struct api_watcher *by, void *arg,
		void **watch, struct api_err *err);
	void (*close)(void *watch);
	/* Of what is large; NULL where nothing is: */
	const char *changed; /* the notification's method */
	/** Is there still one called `name`? If not, that has been sent already. */
	bool (*there)(struct model *model, const char *name);
	api_text text; /* the notification's parameters, asked for {"name": name} */
};

/* For a row of api_method: the fields themselves, and the field that names the object. */
#define API_FIELDS(...) ((const struct api_field[]){__VA_ARGS__, {NULL}})
/* clang-format off */
#define API_NAME_OF(noun) {"name", API_NAME, "of the " noun, .required = true, .positional = true}
/* clang-format on */

struct api_method {
	const char *name; /* "port.add"; NULL ends a table */
	const char *help;
	const struct api_field *fields; /* NULL: none */
	api_handler fn;
	bool changes; /* false: only reads */
	const char
		*columns; /* of the table that sluicectl prints for a list of objects: "name,rx_packets=RX":
			fields, with a title where it is not the field in capitals; NULL: as key and value */
	api_part part;	  /* makes the result, by and by; fn then only checks, and answers an empty list */
	api_text text;	  /* or writes it */
	const struct api_watch *watch; /* what the connection is told of afterwards; NULL: of nothing */
	bool document;		       /* the result is a file for other programs: always printed as JSON */
};
