/* auth.c: a password becomes a token, which all operations carry. It ends when it is not used, or its member restarts. */
#include <stdlib.h>
#include <string.h>

#include "registry/etcd/inside.h"

void etcd_auth_forget(struct etcd *etcd)
{
	free(etcd->token);
	etcd->token = NULL;
}

bool etcd_auth_lost(long code, const char *text)
{
	return code == 401 || strstr(text, "invalid auth token") || strstr(text, "user name is empty");
}

static struct etcd_op *first_waiting(struct etcd *etcd)
{
	struct etcd_op *op;

	TAILQ_FOREACH (op, &etcd->ops, link)
		if (!op->fetch && !op->is_auth)
			return op;
	return NULL;
}

/* An operation that is told its end is over: there is one less each time. */
static void go_on(struct etcd *etcd, const struct etcd_answer *failed)
{
	struct etcd_op *op;

	while ((op = first_waiting(etcd))) {
		if (failed)
			op->done(op, NULL, failed);
		else
			etcd_op_go(op);
	}
}

static void on_token(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer)
{
	struct etcd *etcd = op->etcd;
	const char *token = json_string_value(json_object_get(json, "token"));
	struct etcd_answer failed = *answer;

	if (token)
		etcd->token = strdup(token);
	if (!failed.why)
		failed.why = "etcd gave no token";
	etcd_cancel(op);
	go_on(etcd, etcd->token ? NULL : &failed);
}

bool etcd_auth_wait(struct etcd *etcd)
{
	struct etcd_op *op;

	if (!etcd->user || etcd->token)
		return false;
	if (etcd->authenticating)
		return true;
	op = etcd_op_new(etcd, "auth/authenticate",
		json_pack("{s:s, s:s}", "name", etcd->user, "password", etcd->password), on_token, NULL);
	if (!op)
		return false;
	op->is_auth = true;
	etcd->authenticating = true;
	return etcd_op_send(op) != NULL;
}
