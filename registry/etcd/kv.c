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

/* The answer to the last question, which `tell` has put there. */
static int64_t told_of(const json_t *json)
{
	const json_t *responses = json_object_get(json, "responses");
	const json_t *last = json_array_get(responses, json_array_size(responses) - 1);
	const json_t *kvs = json_object_get(json_object_get(last, "response_range"), "kvs");

	return etcd_int(json_array_get(kvs, 0), "mod_revision");
}

static void on_txn(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	void (*told)(void *arg, const struct etcd_answer *answer, bool took) = op->tell.took;
	struct etcd_answer copy = *answer;
	void *arg = op->arg;

	if (!copy.why)
		copy.told = told_of(json);
	etcd_cancel(op);
	told(arg, &copy, json_is_true(json_object_get(json, "succeeded")));
}

/* The key after all that begin with `prefix`. */
static json_t *encode_end(const char *prefix)
{
	char *end = etcd_prefix_end(prefix);
	json_t *json = end ? etcd_encode(end) : NULL;

	free(end);
	return json;
}

static json_t *change_json(const struct etcd_change *change)
{
	if (change->value)
		return json_pack("{s:{s:o, s:o, s:o}}", "request_put", "key", etcd_encode(change->key),
			"value", etcd_encode(change->value), "lease", etcd_encode_int(change->lease));
	if (change->tree)
		return json_pack("{s:{s:o, s:o}}", "request_delete_range", "key", etcd_encode(change->key),
			"range_end", encode_end(change->key));
	return json_pack("{s:{s:o}}", "request_delete_range", "key", etcd_encode(change->key));
}

static int add_tell(json_t *list, const char *key)
{
	return json_array_append_new(list,
		json_pack("{s:{s:o, s:b}}", "request_range", "key", etcd_encode(key), "keys_only", true));
}

static int fill_txn(const struct etcd_txn *txn, json_t *compares, json_t *changes, json_t *otherwise)
{
	for (size_t i = 0; i < txn->ncompare; i++)
		if (json_array_append_new(
			    compares, json_pack("{s:s, s:s, s:o, s:o}", "target", "MOD", "result", "EQUAL",
					      "key", etcd_encode(txn->compares[i].key), "mod_revision",
					      etcd_encode_int(txn->compares[i].mod))) < 0)
			return -1;
	for (size_t i = 0; i < txn->nchange; i++)
		if (json_array_append_new(changes, change_json(&txn->changes[i])) < 0)
			return -1;
	if (!txn->tell)
		return 0;
	/* one that changes nothing must ask something, or etcd answers it without asking the other members */
	if (!txn->nchange && add_tell(changes, txn->tell) < 0)
		return -1;
	return add_tell(otherwise, txn->tell);
}

static json_t *txn_json(const struct etcd_txn *txn)
{
	json_t *compares = json_array(), *changes = json_array(), *otherwise = json_array();

	if (fill_txn(txn, compares, changes, otherwise) == 0)
		return json_pack(
			"{s:o, s:o, s:o}", "compare", compares, "success", changes, "failure", otherwise);
	json_decref(compares);
	json_decref(changes);
	json_decref(otherwise);
	return NULL;
}

struct etcd_op *etcd_txn(struct etcd *etcd, const struct etcd_txn *txn,
	void (*done)(void *arg, const struct etcd_answer *answer, bool took), void *arg)
{
	struct etcd_op *op = etcd_op_new(etcd, "kv/txn", txn_json(txn), on_txn, arg);

	if (op)
		op->tell.took = done;
	return etcd_op_send(op);
}
