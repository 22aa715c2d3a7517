/* txn_read.c: the bodies of transactions: [{"KV": {"Verb": "set", "Key": "a", "Value": "AA=="}}, ...]. */
#include <errno.h>
#include <stdlib.h>

#include "registry/base/base64.h"
#include "registry/http/jsontext.h"
#include "registry/source/consul/inside.h"
#include "registry/source/consul/txn.h"

/* The text of a field, "" when there is none. */
static int read_text(const json_t *body, const char *name, const char **out, struct reg_err *err)
{
	int rc = consul_text(body, name, out, err);

	if (!*out)
		*out = "";
	if (*out[0] == '\1') /* jsontext.h: it was a number */
		return reg_fail(err, -EINVAL, "%s: must be a string", name);
	return rc;
}

static int read_number(const json_t *body, const char *name, uint64_t *out, struct reg_err *err)
{
	const json_t *value = consul_field(body, name);

	if (value && !jsontext_unsigned(value, out))
		return reg_fail(err, -EINVAL, "%s: must be an integer from 0 to 2^64 - 1", name);
	return 0;
}

static int read_value(const json_t *body, struct txn_op *op, struct reg_err *err)
{
	const char *text;
	int rc = read_text(body, "Value", &text, err);

	if (rc < 0)
		return rc;
	rc = base64_bytes(text, &op->bytes, &op->op.len);
	if (rc == -ENOMEM)
		return reg_fail(err, rc, "out of memory");
	if (rc < 0)
		return reg_fail(err, rc, "Value: illegal base64 data");
	op->op.value = op->bytes;
	return 0;
}

static int read_kv(const json_t *body, struct txn_op *op, struct reg_err *err)
{
	const char *verb;
	int rc = read_text(body, "Verb", &verb, err);

	if (!rc)
		rc = read_text(body, "Key", &op->op.key, err);
	if (!rc)
		rc = read_text(body, "Session", &op->op.session, err);
	if (!rc)
		rc = read_number(body, "Flags", &op->op.flags, err);
	if (!rc)
		rc = read_number(body, "Index", &op->op.index, err);
	if (!rc)
		rc = read_value(body, op, err);
	if (rc < 0)
		return rc;
	op->op.verb = kv_op_verb(verb);
	if (op->op.verb == KV_VERBS)
		op->refused = verb;
	return 0;
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
