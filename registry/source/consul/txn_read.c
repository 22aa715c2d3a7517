/* txn_read.c: the bodies of transactions: [{"KV": {"Verb": "set", "Key": "a", "Value": "AA=="}}, ...]. */
#include <errno.h>
#include <stdlib.h>

#include "registry/base/base64.h"
#include "registry/http/jsontext.h"
#include "registry/source/consul/inside.h"
#include "registry/source/consul/txn.h"

/* The text of a field, "" when there is none. */
static const char *read_text(struct consul_body *in, const char *name)
{
	const char *text = consul_text(in, name);

	if (text && *text == '\1') /* jsontext.h: it was a number */
		consul_bad(in, -EINVAL, "%s: must be a string", name);
	return text ? text : "";
}

static uint64_t read_number(struct consul_body *in, const char *name)
{
	const json_t *value = consul_field(in->json, name);
	uint64_t number = 0;

	if (value && !jsontext_unsigned(value, &number))
		consul_bad(in, -EINVAL, "%s: must be an integer from 0 to 2^64 - 1", name);
	return number;
}

static void read_value(struct consul_body *in, struct txn_op *op)
{
	const char *text = read_text(in, "Value");
	int rc = in->rc ? in->rc : base64_bytes(text, &op->bytes, &op->op.len);

	if (rc < 0)
		consul_bad(in, rc, "%s", rc == -ENOMEM ? "out of memory" : "Value: illegal base64 data");
	op->op.value = op->bytes;
}

static int read_kv(const json_t *body, struct txn_op *op, struct reg_err *err)
{
	struct consul_body in = {body, err, 0};
	const char *verb = read_text(&in, "Verb");

	op->op.verb = kv_op_verb(verb);
	op->refused = op->op.verb == KV_VERBS ? verb : NULL;
	op->op.key = read_text(&in, "Key");
	op->op.session = read_text(&in, "Session");
	op->op.flags = read_number(&in, "Flags");
	op->op.index = read_number(&in, "Index");
	read_value(&in, op);
	return in.rc;
}

/* What is done by other requests here. NULL: nothing of that is asked for. */
static const char *elsewhere(const json_t *item)
{
	static const char *const kinds[] = {"Node", "Service", "Check", "Session", "Intention"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (consul_field(item, kinds[i]))
			return kinds[i];
	return NULL;
}

/* False: answered. */
static bool read_item(struct http_request *rq, const json_t *item, struct txn *txn)
{
	const json_t *body = consul_field(item, "KV");
	const char *other = body ? NULL : elsewhere(item);
	struct reg_err err;

	if (other)
		return http_fail(rq, 501,
			"op %zu: %s operations are not served by Sluice: a transaction is of KV operations",
			txn->n, other);
	if (!json_is_object(body))
		return http_fail(rq, 400, "Failed to parse body: op %zu: KV: must be an object", txn->n);
	if (read_kv(body, &txn->ops[txn->n++], &err) < 0)
		return http_fail(rq, 400, "Failed to parse body: op %zu: KV.%s", txn->n - 1, err.text);
	return true;
}

/* A new reference, NULL: answered. */
static json_t *read_body(struct http_request *rq)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(rq->raw);
	size_t len = evbuffer_get_length(input);
	const char *text = (const char *)evbuffer_pullup(input, -1);
	json_error_t why = {.text = "empty"};
	json_t *json = len ? jsontext_load(text, len, &why) : NULL;

	if (!json)
		return http_fail(rq, 400, "Failed to parse body: %s (line %d)", why.text, why.line);
	if (json_is_array(json))
		return json;
	json_decref(json);
	return http_fail(rq, 400, "Failed to parse body: must be a list of operations");
}

bool txn_read(struct http_request *rq, struct txn *txn)
{
	const json_t *item;
	size_t i;

	*txn = (struct txn){.body = read_body(rq)};
	if (!txn->body)
		return false;
	if (json_array_size(txn->body) > KV_OPS_MAX) {
		http_fail(rq, 413, "Transaction contains too many operations (%zu > %d)",
			json_array_size(txn->body), KV_OPS_MAX);
		return false;
	}
	json_array_foreach (txn->body, i, item)
		if (!read_item(rq, item, txn))
			return false;
	return true;
}

void txn_read_free(struct txn *txn)
{
	for (size_t i = 0; i < txn->n; i++)
		free(txn->ops[i].bytes);
	json_decref(txn->body);
}
