/*
 * txn.c: transactions. Each operation sees what those before it did; when one fails, the others are still tried, so that
 * the client learns of all that is wrong, and none takes effect.
 */
#include "registry/source/consul/txn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/jsontext.h"
#include "registry/source/consul/inside.h"
#include "registry/source/consul/shared.h"

/* A transaction being run: its answer, in two lists of which one is sent. */
struct run {
	struct kv_stage stage;
	struct evbuffer *results, *errors;
	size_t nresult;
	int rc; /* -EFBIG, -ENOMEM: it is answered with the error alone */
	struct kv_err err;
};

static void put_error(struct run *run, size_t op, const char *what)
{
	char *quoted = jsontext_quote(what);
	const char *comma = evbuffer_get_length(run->errors) ? "," : "";

	if (!quoted ||
		evbuffer_add_printf(run->errors, "%s{\"OpIndex\":%zu,\"What\":%s}", comma, op, quoted) < 0)
		run->rc = -ENOMEM;
	free(quoted);
}

/* False: what it is answered with is too much. */
static bool put_result(struct run *run, const struct kv_entry *entry, bool value)
{
	size_t len = evbuffer_get_length(run->results);
	char *text = NULL;

	if (run->nresult++ >= KV_RESULTS_MAX ||
		len + strlen(entry->key) + (value ? entry->len / 3 * 4 : 0) > KV_ANSWER_MAX)
		return false;
	text = kv_text(entry, value);
	if (!text || evbuffer_add_printf(run->results, "%s{\"KV\":", len ? "," : "") < 0 ||
		evbuffer_add(run->results, text, strlen(text)) < 0 || evbuffer_add(run->results, "}", 1) < 0)
		run->rc = -ENOMEM;
	free(text);
	return true;
}

static bool put_tree(struct run *run, const char *prefix)
{
	const struct kv_entry *entry = kv_stage_next(&run->stage, prefix, false);

	for (; entry && kv_begins(entry->key, prefix); entry = kv_stage_next(&run->stage, entry->key, true))
		if (!put_result(run, entry, true))
			return false;
	return true;
}

/* What is not there, as a client sees it that asks for it or nothing. */
static bool put_empty(struct run *run, const char *key)
{
	struct kv_entry *entry = kv_entry_new(key);
	bool fits = entry ? put_result(run, entry, false) : true;

	if (!entry)
		run->rc = -ENOMEM;
	kv_entry_free(entry);
	return fits;
}

static void run_op(struct run *run, size_t i, const struct kv_op *op)
{
	const struct kv_entry *entry;
	bool fits = true;
	int rc = kv_op_run(&run->stage, op, &entry, &run->err);

	if (rc < 0)
		put_error(run, i, run->err.text);
	else if (op->verb == KV_GET_TREE)
		fits = put_tree(run, op->key);
	else if (entry)
		fits = put_result(run, entry, op->verb == KV_GET || op->verb == KV_GET_OR_EMPTY);
	else if (op->verb == KV_GET_OR_EMPTY)
		fits = put_empty(run, op->key);
	if (!fits)
		put_error(run, i, "the answer has more than 4096 keys or 16 MB: ask for less of it");
	if (rc == -ENOMEM)
		run->rc = rc;
}

/* What is wrong with an operation whatever the store holds. */
static void check_op(struct run *run, size_t i, const struct txn_op *op)
{
	struct kv_err *err = &run->err;
	int rc = 0;

	if (op->refused) {
		snprintf(err->text, sizeof(err->text), "unknown KV verb \"%.64s\"", op->refused);
		rc = -EINVAL;
	} else {
		rc = kv_op_check(run->stage.consul, &op->op, err);
	}
	if (rc == -EFBIG)
		run->rc = rc;
	else if (rc < 0)
		put_error(run, i, err->text);
}

static void run_all(struct run *run, const struct txn *txn)
{
	for (size_t i = 0; i < txn->n && !run->rc; i++)
		check_op(run, i, &txn->ops[i]);
	if (evbuffer_get_length(run->errors))
		return;
	for (size_t i = 0; i < txn->n && !run->rc; i++)
		run_op(run, i, &txn->ops[i].op);
}

static int wrap(struct evbuffer *list, const char *before, const char *after)
{
	if (evbuffer_prepend(list, before, strlen(before)) < 0)
		return -ENOMEM;
	return evbuffer_add(list, after, strlen(after) + 1) < 0 ? -ENOMEM : 0;
}

/* Those that only read tell, as Consul's do, that they read from where writes go. */
static void add_read_headers(struct http_request *rq, const struct txn *txn)
{
	for (size_t i = 0; i < txn->n; i++)
		if (txn->ops[i].op.verb < KV_GET)
			return;
	http_header(rq, "X-Consul-Knownleader", "true");
	http_header(rq, "X-Consul-Lastcontact", "0");
}

static void reply(struct http_request *rq, struct run *run)
{
	const struct consul *consul = consul_of(rq);
	bool failed = evbuffer_get_length(run->errors) > 0;
	struct evbuffer *list = failed ? run->errors : run->results;

	if (!run->rc)
		run->rc = failed ? wrap(list, "{\"Results\":null,\"Errors\":[", "]}")
				 : wrap(list, "{\"Results\":[", "],\"Errors\":null}");
	if (run->rc == -EFBIG)
		http_reply_text(rq, 413, "%s", run->err.text);
	else if (run->rc == -ENOSPC)
		http_reply_text(rq, 507, KV_FULL, consul->kv.bytes, consul->kv_bytes_max);
	else if (run->rc < 0)
		http_reply_text(rq, 500, "out of memory");
	else
		http_reply_json_text(rq, failed ? 409 : 200, (const char *)evbuffer_pullup(list, -1));
}

static void run_txn(struct http_request *rq, struct run *run, const struct txn *txn)
{
	for (size_t i = 0; i < txn->n; i++)
		kv_op_settle(consul_of(rq), &txn->ops[i].op);
	kv_stage_begin(&run->stage, consul_of(rq));
	run_all(run, txn);
	if (run->rc < 0 || evbuffer_get_length(run->errors))
		kv_stage_drop(&run->stage);
	else
		run->rc = kv_stage_commit(&run->stage);
	add_read_headers(rq, txn);
	reply(rq, run);
}

/* --- where hosts share the store --- */

struct call {
	struct txn txn;
	struct run run;
};

static void call_free(void *arg)
{
	struct call *call = arg;

	txn_read_free(&call->txn);
	if (call->run.results)
		evbuffer_free(call->run.results);
	if (call->run.errors)
		evbuffer_free(call->run.errors);
	free(call);
}

static bool plan_call(struct shared_job *job, struct shared_plan *plan)
{
	struct call *call = job->arg;
	struct run *run = &call->run;
	int rc = 0;

	evbuffer_drain(run->results, evbuffer_get_length(run->results));
	evbuffer_drain(run->errors, evbuffer_get_length(run->errors));
	run->nresult = 0;
	run->rc = 0;
	kv_stage_begin(&run->stage, job->consul);
	run_all(run, &call->txn);
	if (!run->rc && !evbuffer_get_length(run->errors))
		rc = shared_kv_changes(plan, &run->stage, &run->err);
	kv_stage_drop(&run->stage);
	if (rc == -E2BIG)
		put_error(run, 0, run->err.text);
	else if (rc < 0)
		run->rc = rc;
	for (size_t i = 0; i < call->txn.n; i++)
		shared_kv_if(plan, &call->txn.ops[i].op);
	return run->rc == 0 && rc != -E2BIG;
}

/* Only now the revision of what it changed is known. In a text the quote would have a backslash before it. */
static int fill_index(struct run *run, int64_t revision)
{
	static const char unknown[] = "Index\":18446744073709551615";
	struct evbuffer *filled = evbuffer_new();
	struct evbuffer_ptr at;
	int rc = filled ? 0 : -1;

	while (rc == 0) {
		at = evbuffer_search(run->results, unknown, strlen(unknown), NULL);
		if (at.pos < 0)
			break;
		if (evbuffer_remove_buffer(run->results, filled, (size_t)at.pos) != at.pos ||
			evbuffer_drain(run->results, strlen(unknown)) < 0 ||
			evbuffer_add_printf(filled, "Index\":%lld", (long long)revision) < 0)
			rc = -1;
	}
	if (rc == 0)
		rc = evbuffer_prepend_buffer(run->results, filled);
	if (filled)
		evbuffer_free(filled);
	return rc;
}

static void finish_call(struct shared_job *job, const char *why)
{
	struct call *call = job->arg;

	if (!job->rq)
		return;
	if (why) {
		http_reply_text(job->rq, 500, "%s", why);
		return;
	}
	if (fill_index(&call->run, job->revision) < 0)
		call->run.rc = -ENOMEM;
	add_read_headers(job->rq, &call->txn);
	reply(job->rq, &call->run);
}

static void share_txn(struct http_request *rq)
{
	static const struct shared_work work = {.plan = plan_call, .finish = finish_call, .free = call_free};
	struct call *call = calloc(1, sizeof(*call));

	if (!call) {
		http_reply_text(rq, 500, "out of memory");
		return;
	}
	if (!txn_read(rq, &call->txn)) {
		call_free(call);
		return;
	}
	call->run = (struct run){.results = evbuffer_new(), .errors = evbuffer_new()};
	if (call->run.results && call->run.errors) {
		shared_job_start(consul_of(rq), rq, &work, call, 0,
			evbuffer_get_length(evhttp_request_get_input_buffer(rq->raw)));
		return;
	}
	http_reply_text(rq, 500, "out of memory");
	call_free(call);
}

static void run_here(struct http_request *rq)
{
	struct run run = {.results = evbuffer_new(), .errors = evbuffer_new()};
	struct txn txn;

	if (txn_read(rq, &txn)) {
		if (run.results && run.errors)
			run_txn(rq, &run, &txn);
		else
			http_reply_text(rq, 500, "out of memory");
	}
	txn_read_free(&txn);
	if (run.results)
		evbuffer_free(run.results);
	if (run.errors)
		evbuffer_free(run.errors);
}

void consul_txn(struct http_request *rq)
{
	if (consul_of(rq)->shared)
		share_txn(rq);
	else
		run_here(rq);
}
