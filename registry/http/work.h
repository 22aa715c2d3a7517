/*
 * work.h: answers that are lists, made an item at a time. A list may be of a hundred thousand instances, which take
 * seconds; so it is worked on in slices, and the event loop looks after everything else in between.
 *
 * What fits into one slice, as nearly all do, is answered at once, and shows one moment. A longer list shows each item as
 * it is when the list comes to it, and the index that it is told with is that of its beginning: a change that is made
 * meanwhile may be in it or not, and has a higher index, so that whoever waits for a change hears of it at once. To begin
 * anew at each change instead would never end where something always changes.
 *
 * Nobody works at the cost of others: a turn of the loop has HTTP_WORK_TURN_US for all lists together, in which each that
 * is new gets a slice before those that had one get the next, by turns. HTTP_WORKS are under way at most; one that has had
 * its first slice in vain then waits, and begins anew when there is a place.
 */
#pragma once

#include "registry/filter/pattern.h"
#include "registry/http/server.h"
#include "registry/http/text.h"

struct filter;
struct http_work;

enum {
	HTTP_WORKS = 64,
	HTTP_WORK_TURN_US = 1000,
	HTTP_WORK_SLICE_US = 500,
	HTTP_WORK_KEY = 520, /* bytes of a key that a walk goes on behind */
};

struct http_list {
	bool object; /* {"key": item}, else [item] */
	/** NULL, or: false when it has been answered: before the first slice. */
	bool (*begin)(struct http_work *work);
	/** Puts what follows until a put says that it must stop; true when nothing does. */
	bool (*walk)(struct http_work *work);
	/** Puts one instance, where walk is one that goes through them; arg is the work. */
	bool (*instance)(void *arg, const char *service, const struct reg_backend *backend);
	/** NULL, or: true when it has answered otherwise, or with work->code set false. */
	bool (*end)(struct http_work *work);
};

struct http_work {
	struct http_request *rq;
	const struct http_list *list;
	int code;
	/* where the walk is; {0} at the beginning */
	struct reg_cursor at;
	unsigned phase;
	char key[HTTP_WORK_KEY], last[HTTP_WORK_KEY];
	json_t *seen;
	enum reg_health worst;
	size_t count; /* of what was put */
	/* what it keeps */
	struct filter *filter; /* NULL: all */
	struct pattern_budget budget;
	char near[REG_NODE_MAX + 1]; /* "": in their order */
	char node[REG_NODE_MAX + 1]; /* whose items it lists */
	const char *head_name;	     /* the list stands in {"...": head, head_name: list}; NULL: alone */
	json_t *head;
	/* inside */
	TAILQ_ENTRY(http_work) link;
	enum { WORK_NONE, WORK_FRESH, WORK_ACTIVE, WORK_WAITING } in;
	bool begun, stopped;
	struct http_text *text[2]; /* of those that come first, and of the others */
	bool any[2];
	uint64_t revision; /* of what it shows when it began */
	uint64_t end_us;
	unsigned looked;
	int fail_code; /* 0: none */
	char fail[256];
};

/** Answers rq with the list, now or in some turns of the loop. */
void http_list(struct http_request *rq, const struct http_list *list);

/**
 * Puts an item, taking over the reference; with its key when the list is an object, which the caller sees to that it is
 * but once. `first`: before all that are not. False: the slice is over, the walk must stop.
 */
bool http_work_put(struct http_work *work, const char *key, json_t *item, bool first);
/** The same for an item that is compact JSON already. */
bool http_work_put_item(struct http_work *work, const char *item);
/** The same for text that is JSON already, with what separates its items. */
bool http_work_put_text(struct http_work *work, const char *text, size_t len);
/** Would an item be put as it is, whatever it says? */
bool http_work_takes_text(const struct http_work *work);
/** Puts an item that is compact JSON already, where it takes that. */
bool http_work_put_part(struct http_work *work, const char *text, size_t len);
/** All that was put, in its brackets and behind its head. NULL: no memory. */
struct http_text *http_work_join(struct http_work *work);
/** Something was looked at and not put. False: as above. */
bool http_work_looked(struct http_work *work);
/** The answer is this error; the walk must stop. */
bool http_work_fail(struct http_work *work, int code, const char *text);

/** Is a list under way, begun no earlier than what rq asks for, that it may be answered with, too? */
bool http_work_is_made(struct http_request *rq);

struct http_works;
/** -ENOMEM. */
int http_works_open(struct http *http);
void http_works_close(struct http *http);

struct http_works_info {
	unsigned active, waiting;
	uint64_t slices; /* since the start */
};
struct http_works_info http_works_info(const struct http *http);
