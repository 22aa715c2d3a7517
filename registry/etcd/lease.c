#include "registry/etcd/inside.h"

/* `json`: where the answer has its number as `field`. */
static void tell(struct etcd_op *op, const json_t *json, const char *field, const struct etcd_answer *answer)
{
	void (*told)(void *arg, const struct etcd_answer *answer, int64_t number) = op->tell.number;
	void *arg = op->arg;

	etcd_cancel(op);
	told(arg, answer, etcd_int(json, field));
}

static void on_granted(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	tell(op, json, "ID", answer);
}

/* One answer of a stream that has no second one. */
static void on_renewed(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	struct etcd_answer copy = *answer;
	const json_t *result = json_object_get(json, "result");

	if (!copy.why)
		etcd_read_header(result, &copy);
	tell(op, result, "TTL", &copy);
}

static struct etcd_op *ask(struct etcd *etcd, const char *path, json_t *body,
	void (*done)(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer),
	void (*told)(void *arg, const struct etcd_answer *answer, int64_t number), void *arg)
{
	struct etcd_op *op = etcd_op_new(etcd, path, body, done, arg);

	if (op)
		op->tell.number = told;
	return etcd_op_send(op);
}

struct etcd_op *etcd_grant(struct etcd *etcd, int64_t ttl_s,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t lease), void *arg)
{
	return ask(etcd, "lease/grant", json_pack("{s:o}", "TTL", etcd_encode_int(ttl_s)), on_granted, done,
		arg);
}

struct etcd_op *etcd_renew(struct etcd *etcd, int64_t lease,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t ttl_s), void *arg)
{
	return ask(etcd, "lease/keepalive", json_pack("{s:o}", "ID", etcd_encode_int(lease)), on_renewed,
		done, arg);
}

/* Its answer has nothing but the header. */
struct etcd_op *etcd_revoke(struct etcd *etcd, int64_t lease,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t zero), void *arg)
{
	return ask(etcd, "lease/revoke", json_pack("{s:o}", "ID", etcd_encode_int(lease)), on_granted, done,
		arg);
}
