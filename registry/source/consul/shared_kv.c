/* shared_kv.c: changes of keys that hosts share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/shared.h"

/* An operation by itself. */
struct single {
	struct kv_op op; /* its texts are the request's */
	int rc;
	struct kv_err err;
};

static bool is_tree(const struct kv_op *op)
{
	return op->verb == KV_DELETE_TREE || op->verb == KV_GET_TREE;
}

void shared_kv_if(struct shared_plan *plan, const struct kv_op *op)
{
	struct consul *consul = plan->shared->consul;
	const struct kv_entry *entry = kv_find(consul, op->key);
	const struct consul_session *session = session_find(consul, op->session);

	if (is_tree(op)) {
		plan->all = true;
		return;
	}
	shared_plan_if(plan, SHARED_KEY, op->key, entry ? entry->modified : 0);
	if (op->verb != KV_LOCK)
		return;
	if (op->session[0] && strlen(op->session) < UUID_TEXT)
		shared_plan_if(plan, SHARED_SESSION, op->session, session ? session->created : 0);
	shared_plan_if(plan, SHARED_DELAY, op->key, kv_delay_mod(consul, op->key));
}

/* Indexes are etcd's. */
static char *value_of(const struct kv_entry *entry)
{
	struct kv_entry bare = *entry;

	bare.created = bare.modified = 0;
	return kv_keep_text(&bare);
}

static bool gets_lock(const struct kv_stage *stage, const struct kv_entry *entry)
{
	const struct kv_entry *stored = kv_find(stage->consul, entry->key);

	return !entry->gone && entry->session[0] && (!stored || strcmp(stored->session, entry->session) != 0);
}

int shared_kv_changes(struct shared_plan *plan, const struct kv_stage *stage, struct kv_err *err)
{
	if (!kv_stage_has_room(stage))
		return -ENOSPC;
	for (size_t i = 0; i < stage->entries.count; i++) {
		const struct kv_entry *entry = stage->entries.item[i];

		if (!shared_plan_fits(plan, 2, entry->len / 3 * 4)) {
			snprintf(err->text, sizeof(err->text),
				"more than %d keys or %d bytes would change at once in etcd", ETCD_OPS - 2,
				SHARED_TXN_BYTES);
			return -E2BIG;
		}
		if (gets_lock(stage, entry))
			shared_plan_put_once(plan, SHARED_HOLDS, entry->session, "1");
		if (!entry->gone)
			shared_plan_put(plan, SHARED_KEY, entry->key, value_of(entry), 0);
		else if (kv_find(stage->consul, entry->key))
			shared_plan_del(plan, SHARED_KEY, entry->key, false);
	}
	return 0;
}

static bool plan_single(struct shared_job *job, struct shared_plan *plan)
{
	struct single *single = job->arg;
	const struct kv_entry *entry;
	struct kv_stage stage;

	single->rc = kv_op_check(job->consul, &single->op, &single->err);
	if (single->rc == -EINVAL || single->rc == -EFBIG)
		return false;
	if (single->rc == 0) {
		kv_stage_begin(&stage, job->consul);
		single->rc = kv_op_run(&stage, &single->op, &entry, &single->err);
		if (single->rc == 0)
			single->rc = shared_kv_changes(plan, &stage, &single->err);
		kv_stage_drop(&stage);
	}
	if (single->rc == -ENOSPC || single->rc == -ENOMEM)
		return false;
	shared_kv_if(plan, &single->op);
	return true;
}

static void reply_single(struct shared_job *job, const char *why)
{
	const struct single *single = job->arg;

	if (!job->rq)
		return;
	if (why)
		http_reply_text(job->rq, 500, "%s", why);
	else
		kv_api_reply(job->rq, single->rc, &single->err);
}

void shared_kv_run(struct http_request *rq, const struct kv_op *op)
{
	static const struct shared_work work = {.plan = plan_single, .finish = reply_single};
	struct single *single = calloc(1, sizeof(*single));

	if (!single) {
		http_reply_text(rq, 500, "out of memory");
		return;
	}
	single->op = *op;
	shared_job_start(consul_of(rq), rq, &work, single, 0, op->len);
}

/* All that begin so, whatever they are: etcd does it in one. */
static bool plan_tree(struct shared_job *job, struct shared_plan *plan)
{
	shared_plan_del(plan, SHARED_KEY, job->rq->arg[0], true);
	return true;
}

static void reply_tree(struct shared_job *job, const char *why)
{
	if (!job->rq)
		return;
	if (why)
		http_reply_text(job->rq, 500, "%s", why);
	else
		http_reply_json(job->rq, 200, json_true());
}

void shared_kv_delete_tree(struct http_request *rq)
{
	static const struct shared_work work = {.plan = plan_tree, .finish = reply_tree};

	shared_job_start(consul_of(rq), rq, &work, NULL, 0, 0);
}
