#include <stdlib.h>
#include <string.h>

#include "registry/etcd/inside.h"

enum { PAGE_SHRINK = 8 }; /* when values are large */

static json_t *range(const struct etcd_op *op)
{
	return json_pack("{s:O, s:o, s:o, s:o}", "key", op->at, "range_end", etcd_encode(op->end), "revision",
		etcd_encode_int(op->revision), "limit", etcd_encode_int(op->page));
}

static void end(struct etcd_op *op, const struct etcd_answer *answer)
{
	void (*told)(void *arg, const struct etcd_answer *answer) = op->tell.any;
	void *arg = op->arg;

	etcd_cancel(op);
	told(arg, answer);
}

/* Tells a page; the key that the next one begins with, NULL: there was none, or no memory. */
static json_t *read_page(struct etcd_op *op, const json_t *kvs)
{
	json_t *next = NULL;
	const json_t *one;
	struct etcd_kv kv;
	size_t i;

	json_array_foreach (kvs, i, one) {
		if (!etcd_read_kv(one, &kv))
			continue;
		op->kv(op->arg, &kv);
		if (i + 1 == json_array_size(kvs))
			next = etcd_encode_bytes(
				kv.key, kv.key_len + 1); /* the 0 behind it is the least there is */
		etcd_kv_free(&kv);
	}
	return next;
}

/* From `at` on, a reference that is taken over. False: no memory. */
static bool ask_page(struct etcd_op *op, json_t *at)
{
	if (at != op->at)
		json_decref(op->at);
	op->at = at;
	if (!at || !etcd_op_ask(op, range(op)))
		return false;
	etcd_op_go(op);
	return true;
}

static void on_page(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	struct etcd_answer whole = *answer;
	json_t *next = NULL;

	if (whole.too_long && op->page > 1) {
		op->page = op->page / PAGE_SHRINK + 1;
		if (ask_page(op, op->at))
			return;
	}
	if (!whole.why) {
		if (!op->revision)
			op->revision = whole.revision;
		whole.revision = op->revision;
		next = read_page(op, json_object_get(json, "kvs"));
	}
	if (!whole.why && json_is_true(json_object_get(json, "more"))) {
		if (ask_page(op, next))
			return;
		whole.why = "a page without an end";
	} else {
		json_decref(next);
	}
	end(op, &whole);
}

struct etcd_op *etcd_scan(struct etcd *etcd, const char *prefix,
	void (*kv)(void *arg, const struct etcd_kv *kv),
	void (*done)(void *arg, const struct etcd_answer *answer), void *arg)
{
	struct etcd_op *op = etcd_op_new(etcd, "kv/range", json_object(), on_page, arg);

	if (!op)
		return NULL;
	op->page = ETCD_PAGE;
	op->end = etcd_prefix_end(prefix);
	op->at = etcd_encode(prefix);
	op->kv = kv;
	op->tell.any = done;
	if (op->end && op->at && etcd_op_ask(op, range(op)))
		return etcd_op_send(op);
	etcd_cancel(op);
	return NULL;
}

static void on_last(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	void (*told)(void *arg, const struct etcd_answer *answer, int64_t mod) = op->tell.number;
	void *arg = op->arg;

	etcd_cancel(op);
	told(arg, answer, etcd_int(json_array_get(json_object_get(json, "kvs"), 0), "mod_revision"));
}

struct etcd_op *etcd_last(struct etcd *etcd, const char *prefix,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t mod), void *arg)
{
	char *last = etcd_prefix_end(prefix);
	struct etcd_op *op =
		last ? etcd_op_new(etcd, "kv/range",
			       json_pack("{s:o, s:o, s:o, s:b, s:s, s:s}", "key", etcd_encode(prefix),
				       "range_end", etcd_encode(last), "limit", etcd_encode_int(1),
				       "keys_only", true, "sort_order", "DESCEND", "sort_target", "MOD"),
			       on_last, arg)
		     : NULL;

	free(last);
	if (op)
		op->tell.number = done;
	return etcd_op_send(op);
}

static void on_txn(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	void (*told)(void *arg, const struct etcd_answer *answer, bool took) = op->tell.took;
	void *arg = op->arg;

	etcd_cancel(op);
	told(arg, answer, json_is_true(json_object_get(json, "succeeded")));
}

static json_t *change_json(const struct etcd_change *change)
{
	if (!change->value)
		return json_pack("{s:{s:o}}", "request_delete_range", "key", etcd_encode(change->key));
	return json_pack("{s:{s:o, s:o, s:o}}", "request_put", "key", etcd_encode(change->key), "value",
		etcd_encode(change->value), "lease", etcd_encode_int(change->lease));
}

static json_t *txn_json(const struct etcd_txn *txn)
{
	json_t *changes = json_array(), *json = json_pack("{s:o}", "success", changes);

	for (size_t i = 0; i < txn->nchange; i++)
		if (json_array_append_new(changes, change_json(&txn->changes[i])) < 0) {
			json_decref(json);
			return NULL;
		}
	if (txn->key)
		json_object_set_new(json, "compare",
			json_pack("[{s:s, s:s, s:o, s:o}]", "target", "MOD", "result", "EQUAL", "key",
				etcd_encode(txn->key), "mod_revision", etcd_encode_int(txn->mod)));
	return json;
}

struct etcd_op *etcd_txn(struct etcd *etcd, const struct etcd_txn *txn,
	void (*done)(void *arg, const struct etcd_answer *answer, bool took), void *arg)
{
	struct etcd_op *op = etcd_op_new(etcd, "kv/txn", txn_json(txn), on_txn, arg);

	if (op)
		op->tell.took = done;
	return etcd_op_send(op);
}
