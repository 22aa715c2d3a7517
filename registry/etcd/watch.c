/*
 * watch.c: a stream of lines, one for each batch of revisions. etcd may split a batch: only the last part lacks
 * "fragment". What was compacted is told by a line and not by the end of the stream.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/etcd/inside.h"

static void on_end(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	const struct etcd_watcher watcher = op->watcher;
	bool compacted = op->compacted != 0 || answer->too_long;
	void *arg = op->arg;
	char why[160];

	snprintf(why, sizeof(why), "%s", op->why[0] ? op->why : answer->why ? answer->why : "it hung up");
	etcd_cancel(op);
	watcher.ended(arg, why, compacted);
}

/* A token that a member knows no more is told by a line, too: the next watch asks for another one. */
static void note_token(struct etcd_op *op)
{
	if (op->etcd->user && etcd_auth_lost(0, op->why))
		etcd_auth_forget(op->etcd);
}

/* The stream stays open when etcd has cancelled a watch. */
static void give_up(struct etcd_op *op, const char *why)
{
	const struct etcd_answer answer = {.why = why};

	fetch_cancel(op->fetch);
	op->fetch = NULL;
	on_end(op, NULL, &answer);
}

static void tell_change(struct etcd_op *op, const json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	struct etcd_kv kv;

	if (!etcd_read_kv(json_object_get(event, "kv"), &kv))
		return;
	op->watcher.change(op->arg, &kv, type && strcmp(type, "DELETE") == 0);
	etcd_kv_free(&kv);
}

/*
 * Up to where all has been told. The header has the store's revision of that moment, and while a watch catches up more is
 * to come, in batches of whole revisions: only a line without changes, sent to one that has caught up, says so.
 */
static int64_t told_revision(const json_t *result, bool created, int64_t header)
{
	const json_t *events = json_object_get(result, "events");
	size_t n = json_array_size(events);

	if (n)
		return etcd_int(json_object_get(json_array_get(events, n - 1), "kv"), "mod_revision");
	return created ? 0 : header;
}

static void on_line(struct etcd_op *op, const json_t *json)
{
	const json_t *result = json_object_get(json, "result"), *event;
	struct etcd_answer answer = {.why = NULL};
	bool created;
	size_t i;

	if (!json_is_object(result)) {
		const json_t *error = json_object_get(json, "error");
		const char *text = json_string_value(json_object_get(error, "message"));

		snprintf(op->why, sizeof(op->why), "%s", text ? text : "a line that is none");
		note_token(op);
		give_up(op, op->why);
		return;
	}
	if (json_is_true(json_object_get(result, "canceled"))) {
		const char *text = json_string_value(json_object_get(result, "cancel_reason"));

		op->compacted = etcd_int(result, "compact_revision");
		snprintf(op->why, sizeof(op->why), "%s",
			op->compacted ? "its revision was compacted"
			: text	      ? text
				      : "etcd ended it");
		note_token(op);
		give_up(op, op->why);
		return;
	}
	created = json_is_true(json_object_get(result, "created"));
	if (created) {
		op->begun = true;
		op->watcher.begun(op->arg);
	}
	json_array_foreach (json_object_get(result, "events"), i, event)
		tell_change(op, event);
	if (json_is_true(json_object_get(result, "fragment")))
		return;
	etcd_read_header(result, &answer);
	answer.revision = told_revision(result, created, answer.revision);
	op->watcher.whole(op->arg, &answer);
}

struct etcd_op *etcd_watch(struct etcd *etcd, const char *prefix, int64_t revision,
	const struct etcd_watcher *watcher, void *arg)
{
	char *last = etcd_prefix_end(prefix);
	struct etcd_op *op =
		last ? etcd_op_new(etcd, "watch",
			       json_pack("{s:{s:o, s:o, s:o, s:b, s:b}}", "create_request", "key",
				       etcd_encode(prefix), "range_end", etcd_encode(last), "start_revision",
				       etcd_encode_int(revision), "progress_notify", true, "fragment", true),
			       on_end, arg)
		     : NULL;

	free(last);
	if (op) {
		op->line = on_line;
		op->watcher = *watcher;
	}
	return etcd_op_send(op);
}
