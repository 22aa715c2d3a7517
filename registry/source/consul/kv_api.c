/* kv_api.c: /v1/kv: get, put and delete, one key or all below one, with locks by session. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"
#include "registry/source/consul/shared.h"

/* All that begin with it, or it alone? */
static bool is_tree(const struct http_request *rq)
{
	return http_flag(rq, "recurse") || http_flag(rq, "keys");
}

static const char *kv_topic(struct http_request *rq)
{
	return KV_TOPIC;
}

/* That of a key that is there is its own; a tree, or what is not there, may have lost something with each deletion. */
static uint64_t kv_index(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	const struct kv_entry *one = is_tree(rq) ? NULL : kv_find(consul, rq->arg[0]);
	uint64_t index = consul->kv.deleted;

	if (one)
		return one->modified;
	for (size_t i = kv_from(consul, rq->arg[0]); is_tree(rq) && i < consul->kv.entries.count; i++) {
		const struct kv_entry *entry = consul->kv.entries.item[i];

		if (!kv_begins(entry->key, rq->arg[0]))
			break;
		if (entry->modified > index)
			index = entry->modified;
	}
	return index;
}

static bool put_whole(struct http_work *work, const struct kv_entry *entry)
{
	char *text = kv_text(entry, true);
	bool more = text ? http_work_put_item(work, text) : http_work_fail(work, 500, "out of memory");

	free(text);
	return more;
}

/* Clients have spelled it either way since the first of them had it wrong. */
static const char *separator_of(const struct http_request *rq)
{
	const char *separator = http_param(rq, "separator");

	return separator ? separator : http_param(rq, "seperator");
}

/* The key, or the part of it up to the first separator behind the prefix, once. */
static bool put_key(struct http_work *work, const struct kv_entry *entry)
{
	const char *prefix = work->rq->arg[0], *separator = separator_of(work->rq);
	const char *end = separator && *separator ? strstr(entry->key + strlen(prefix), separator) : NULL;
	size_t len = end ? (size_t)(end - entry->key) + strlen(separator) : strlen(entry->key);

	if (strlen(work->last) == len && strncmp(work->last, entry->key, len) == 0)
		return http_work_looked(work);
	snprintf(work->last, sizeof(work->last), "%.*s", (int)len, entry->key);
	return http_work_put(work, NULL, json_string(work->last), false);
}

static bool put_entry(struct http_work *work, const struct kv_entry *entry)
{
	snprintf(work->key, sizeof(work->key), "%s", entry->key);
	return http_flag(work->rq, "keys") ? put_key(work, entry) : put_whole(work, entry);
}

static bool kv_walk(struct http_work *work)
{
	struct consul *consul = consul_of(work->rq);
	const char *prefix = work->rq->arg[0];
	const struct kv_entry *entry = is_tree(work->rq) ? NULL : kv_find(consul, prefix);
	size_t i;

	if (!is_tree(work->rq)) {
		if (entry)
			put_whole(work, entry);
		return true;
	}
	i = kv_from(consul, work->phase ? work->key : prefix);
	for (; i < consul->kv.entries.count; i++) {
		entry = consul->kv.entries.item[i];
		if (!kv_begins(entry->key, prefix))
			break;
		if (work->phase && strcmp(entry->key, work->key) == 0)
			continue;
		work->phase = 1;
		if (!put_entry(work, entry))
			return false;
	}
	return true;
}

static bool kv_end(struct http_work *work)
{
	if (work->count || (http_flag(work->rq, "keys") && !work->rq->arg[0][0]))
		return false; /* of all keys there is always a list */
	http_reply_text(work->rq, 404, "%s", "");
	return true;
}

static const struct http_scope kv_scope = {kv_topic, kv_index, NULL};
static const struct http_list kv_list = {.walk = kv_walk, .end = kv_end};
static const struct http_view kv_view = {
	.scope = &kv_scope, .list = &kv_list, .unordered_if = consul_is_shared};

static bool raw_walk(struct http_work *work)
{
	return true;
}

/* The value alone, as it was put. */
static bool raw_end(struct http_work *work)
{
	const struct kv_entry *entry = kv_find(consul_of(work->rq), work->rq->arg[0]);
	struct evbuffer *body = entry ? evbuffer_new() : NULL;

	if (body) {
		evbuffer_add(body, entry->value, entry->len);
		http_reply(work->rq, 200, "application/octet-stream", body);
	} else {
		http_reply_text(work->rq, entry ? 500 : 404, "%s", "");
	}
	return true;
}

static const struct http_list raw_list = {.walk = raw_walk, .end = raw_end};
static const struct http_view raw_view = {
	.scope = &kv_scope, .list = &raw_list, .unordered_if = consul_is_shared};

/* One key is asked for, and not named? Then it has been answered. */
static bool lacks_key(struct http_request *rq, bool tree)
{
	if (tree || rq->arg[0][0])
		return false;
	http_reply_text(rq, 400, "Missing key name");
	return true;
}

static void view(struct http_request *rq)
{
	http_view(rq, http_flag(rq, "raw") && !is_tree(rq) ? &raw_view : &kv_view);
}

void consul_kv_get(struct http_request *rq)
{
	if (!lacks_key(rq, is_tree(rq)))
		shared_read(rq, view);
}

/* Several of these cannot be meant together. False: that has been answered. */
static bool agree(struct http_request *rq, const char *const *names)
{
	const char *first = NULL;

	for (; *names; names++) {
		if (!http_param(rq, *names))
			continue;
		if (first)
			return http_fail(rq, 400, "Conflicting flags: %s, %s", first, *names);
		first = *names;
	}
	return true;
}

void kv_api_reply(struct http_request *rq, int rc, const struct kv_err *err)
{
	const struct consul *consul = consul_of(rq);

	if (rc == 0)
		http_reply_json(rq, 200, json_true());
	else if (rc == -EAGAIN)
		http_reply_json(rq, 200, json_false());
	else if (rc == -ENOSPC)
		http_reply_text(rq, 507, KV_FULL, consul->kv.bytes, consul->kv_bytes_max);
	else if (rc == -ENOMEM)
		http_reply_text(rq, 500, "out of memory");
	else
		http_reply_text(rq,
			rc == -EINVAL || rc == -E2BIG ? 400
			: rc == -EFBIG		      ? 413
						      : 500,
			"%s", err->text);
}

/* The operation alone, answered with whether it was made. */
static void run_one(struct http_request *rq, const struct kv_op *op)
{
	const struct kv_entry *entry;
	struct kv_stage stage;
	struct kv_err err;
	int rc;

	if (consul_of(rq)->shared) {
		shared_kv_run(rq, op);
		return;
	}
	kv_op_settle(consul_of(rq), op);
	rc = kv_op_check(consul_of(rq), op, &err);
	if (rc == 0) {
		kv_stage_begin(&stage, consul_of(rq));
		rc = kv_op_run(&stage, op, &entry, &err);
		if (rc == 0)
			rc = kv_stage_commit(&stage);
		else
			kv_stage_drop(&stage);
	}
	kv_api_reply(rq, rc, &err);
}

void consul_kv_put(struct http_request *rq)
{
	static const char *const ways[] = {"cas", "acquire", "release", NULL};
	struct evbuffer *input = evhttp_request_get_input_buffer(rq->raw);
	const char *acquire = http_param(rq, "acquire"), *release = http_param(rq, "release");
	struct kv_op op = {.verb = KV_SET, .key = rq->arg[0], .session = ""};
	bool given, compares;

	if (lacks_key(rq, false) || !agree(rq, ways) ||
		http_number_given(rq, "flags", &op.flags, &given) < 0 ||
		http_number_given(rq, "cas", &op.index, &compares) < 0)
		return;
	if (compares)
		op.verb = KV_CAS;
	else if (acquire)
		op.verb = KV_LOCK;
	else if (release)
		op.verb = KV_UNLOCK;
	if (acquire || release)
		op.session = acquire ? acquire : release;
	op.value = (const char *)evbuffer_pullup(input, -1);
	op.len = evbuffer_get_length(input);
	run_one(rq, &op);
}

enum { DELETED = 128 }; /* keys deleted between two looks at the clock */

static bool delete_walk(struct http_work *work)
{
	bool more;

	do
		more = kv_del_tree(consul_of(work->rq), work->rq->arg[0], DELETED);
	while (http_work_looked(work) && more);
	return !more;
}

static bool delete_end(struct http_work *work)
{
	http_reply_json(work->rq, 200, json_true());
	return true;
}

void consul_kv_delete(struct http_request *rq)
{
	static const struct http_list tree = {.walk = delete_walk, .end = delete_end};
	static const char *const ways[] = {"recurse", "cas", NULL};
	struct kv_op op = {.verb = KV_DELETE, .key = rq->arg[0], .session = ""};
	bool compares;

	if (!agree(rq, ways) || lacks_key(rq, http_flag(rq, "recurse")) ||
		http_number_given(rq, "cas", &op.index, &compares) < 0)
		return;
	if (http_flag(rq, "recurse")) {
		if (consul_of(rq)->shared)
			shared_kv_delete_tree(rq);
		else
			http_list(rq, &tree);
		return;
	}
	if (compares)
		op.verb = KV_DELETE_CAS;
	run_one(rq, &op);
}
