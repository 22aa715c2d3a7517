/* kv_api.c: /v1/kv: get, put and delete, one key or all below one, with locks by session. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"

/* All that begin with it, or it alone? */
static bool is_tree(const struct http_request *rq)
{
	return http_flag(rq, "recurse") || http_flag(rq, "keys");
}

static bool begins(const struct kv_entry *entry, const char *with)
{
	return strncmp(entry->key, with, strlen(with)) == 0;
}

static const char *kv_topic(struct http_request *rq)
{
	return KV_TOPIC;
}

/* Of what is asked for alone, but deletions count for all keys: nothing is left that could tell of them. */
static uint64_t kv_index(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	const struct kv_entry *one = is_tree(rq) ? NULL : kv_find(consul, rq->arg[0]);
	uint64_t index = consul->kv.deleted;

	if (one && one->modified > index)
		index = one->modified;
	for (size_t i = kv_from(consul, rq->arg[0]); is_tree(rq) && i < consul->kv.entries.count; i++) {
		const struct kv_entry *entry = consul->kv.entries.item[i];

		if (!begins(entry, rq->arg[0]))
			break;
		if (entry->modified > index)
			index = entry->modified;
	}
	return index;
}

static json_t *entry_json(const struct kv_entry *entry)
{
	char *value = entry->len ? kv_base64(entry->value, entry->len) : NULL;
	json_t *object = json_pack("{s:I, s:s, s:I, s:s?, s:I, s:I}", "LockIndex",
		(json_int_t)entry->lock_index, "Key", entry->key, "Flags", (json_int_t)entry->flags, "Value",
		value, "CreateIndex", (json_int_t)entry->created, "ModifyIndex", (json_int_t)entry->modified);

	if (object && entry->session[0])
		json_object_set_new(object, "Session", json_string(entry->session));
	free(value);
	return object;
}

/* The key, or the part of it up to the first separator behind the prefix, once. */
static bool put_key(struct http_work *work, const struct kv_entry *entry)
{
	const char *prefix = work->rq->arg[0], *separator = http_param(work->rq, "separator");
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
	return http_flag(work->rq, "keys") ? put_key(work, entry)
					   : http_work_put(work, NULL, entry_json(entry), false);
}

static bool kv_walk(struct http_work *work)
{
	struct consul *consul = consul_of(work->rq);
	const char *prefix = work->rq->arg[0];
	const struct kv_entry *entry = is_tree(work->rq) ? NULL : kv_find(consul, prefix);
	size_t i;

	if (!is_tree(work->rq)) {
		if (entry)
			http_work_put(work, NULL, entry_json(entry), false);
		return true;
	}
	i = kv_from(consul, work->phase ? work->key : prefix);
	for (; i < consul->kv.entries.count; i++) {
		entry = consul->kv.entries.item[i];
		if (!begins(entry, prefix))
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
	if (work->count)
		return false;
	http_reply_text(work->rq, 404, "%s", "");
	return true;
}

static const struct http_list kv_list = {.walk = kv_walk, .end = kv_end};
static const struct http_view kv_view = {.topic = kv_topic, .index = kv_index, .list = &kv_list};

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
static const struct http_view raw_view = {.topic = kv_topic, .index = kv_index, .list = &raw_list};

/* One key is asked for, and not named? Then it has been answered. */
static bool lacks_key(struct http_request *rq, bool tree)
{
	if (tree || rq->arg[0][0])
		return false;
	http_reply_text(rq, 400, "Missing key name");
	return true;
}

void consul_kv_get(struct http_request *rq)
{
	if (!lacks_key(rq, is_tree(rq)))
		http_view(rq, http_flag(rq, "raw") && !is_tree(rq) ? &raw_view : &kv_view);
}

/* `cas=N`, *given: whether it is there. False: it is no number, which has been answered. */
static bool read_cas(struct http_request *rq, uint64_t *cas, bool *given)
{
	const char *text = http_param(rq, "cas");

	*given = text != NULL;
	if (text && !*text) { /* a script whose variable is empty must not change what it wanted to protect */
		http_reply_text(rq, 400, "Invalid cas: \"\" is no number");
		return false;
	}
	return http_number(rq, "cas", cas) == 0;
}

/* Was the key last changed at `cas`? 0: does it not exist? */
static bool is_as_known(const struct kv_entry *entry, uint64_t cas)
{
	return entry ? entry->modified == cas : cas == 0;
}

/* May this request change the entry? And who holds it then. */
static bool may_put(struct http_request *rq, const struct kv_entry *entry, const char **session)
{
	const char *acquire = http_param(rq, "acquire"), *release = http_param(rq, "release");

	*session = entry ? entry->session : "";
	if (acquire) {
		if (entry && entry->session[0] ? strcmp(entry->session, acquire) != 0
					       : entry && entry->locked_until_ms > kv_now_ms())
			return false;
		*session = acquire;
	}
	if (release) {
		if (!entry || strcmp(entry->session, release) != 0)
			return false;
		*session = "";
	}
	return true;
}

void consul_kv_put(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	struct evbuffer *input = evhttp_request_get_input_buffer(rq->raw);
	const struct kv_entry *entry = kv_find(consul, rq->arg[0]);
	const char *acquire = http_param(rq, "acquire"), *session;
	uint64_t flags, cas;
	bool given;
	int rc;

	if (http_number(rq, "flags", &flags) < 0 || !read_cas(rq, &cas, &given))
		return;
	if (acquire && !session_exists(consul, acquire)) {
		http_reply_text(rq, 500, "invalid session \"%.36s\"", acquire);
		return;
	}
	if ((given && !is_as_known(entry, cas)) || !may_put(rq, entry, &session)) {
		http_reply_json(rq, 200, json_false());
		return;
	}
	rc = kv_put(consul, rq->arg[0], (const char *)evbuffer_pullup(input, -1), evbuffer_get_length(input),
		flags, session);
	if (rc == -EINVAL)
		http_reply_text(rq, 400, "Missing key name, or it is longer than %d bytes or not printable",
			KV_KEY_MAX);
	else if (rc == -EFBIG)
		http_reply_text(rq, 413, "Value exceeds %d bytes", KV_VALUE_MAX);
	else if (rc == -ENOSPC)
		http_reply_text(rq, 507,
			"No room: keys and values have %zu of the %zu bytes that control.kv_mb allows",
			consul->kv.bytes, consul->kv_bytes_max);
	else if (rc < 0)
		http_reply_text(rq, 500, "out of memory");
	else
		http_reply_json(rq, 200, json_true());
}

enum { DELETED = 128 }; /* keys deleted between two looks at the clock */

static bool delete_walk(struct http_work *work)
{
	bool more;

	do
		more = kv_del(consul_of(work->rq), work->rq->arg[0], true, DELETED);
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
	struct consul *consul = consul_of(rq);
	const struct kv_entry *entry = kv_find(consul, rq->arg[0]);
	uint64_t cas;
	bool given;

	if (lacks_key(rq, http_flag(rq, "recurse")) || !read_cas(rq, &cas, &given))
		return;
	if (given && entry && !is_as_known(entry, cas)) { /* and so never with 0 */
		http_reply_json(rq, 200, json_false());
		return;
	}
	if (http_flag(rq, "recurse")) {
		http_list(rq, &tree);
		return;
	}
	kv_del(consul, rq->arg[0], false, 1);
	http_reply_json(rq, 200, json_true());
}
