/* shared_plan.c: transactions of etcd, as they are put together. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/shared.h"

enum { KEY_TEXT = 512, OF_A_CHANGE = 256 }; /* bytes that go with a key and its value, about */

const char *shared_plan_letter(enum shared_kind kind)
{
	static const char *const letters[SHARED_KINDS] = {
		[SHARED_AT] = "at",
		[SHARED_KEY] = "k/",
		[SHARED_SESSION] = "s/",
		[SHARED_HOLDS] = "sh/",
		[SHARED_LIVE] = "st/",
		[SHARED_DELAY] = "d/",
	};

	return letters[kind];
}

/* To be freed with the plan; NULL: no memory, which is noted. */
static char *keep(struct shared_plan *plan, char *text)
{
	if (!text)
		plan->failed = true;
	else
		plan->text[plan->ntext++] = text;
	return text;
}

static char *key_of(struct shared_plan *plan, enum shared_kind kind, const char *name)
{
	char *text;

	if (asprintf(&text, "%s%s%s", plan->shared->prefix, shared_plan_letter(kind), name) < 0)
		text = NULL;
	plan->bytes += strlen(name) + OF_A_CHANGE;
	return keep(plan, text);
}

void shared_plan_if(struct shared_plan *plan, enum shared_kind kind, const char *name, uint64_t mod)
{
	if (plan->ncompare == ETCD_OPS - 1) { /* the last place is for `at` */
		plan->all = true;
		return;
	}
	plan->compare[plan->ncompare++] = (struct etcd_compare){key_of(plan, kind, name), (int64_t)mod};
}

void shared_plan_if_absent(struct shared_plan *plan, const char *key)
{
	char *copy = plan->ncompare < ETCD_OPS - 1 ? keep(plan, strdup(key)) : NULL;

	if (copy)
		plan->compare[plan->ncompare++] = (struct etcd_compare){copy, 0};
}

/* One place is left for `at`. */
static struct etcd_change *add(struct shared_plan *plan)
{
	static struct etcd_change none;

	if (plan->nchange == ETCD_OPS - 1) {
		plan->failed = true;
		return &none;
	}
	return &plan->change[plan->nchange++];
}

void shared_plan_put(
	struct shared_plan *plan, enum shared_kind kind, const char *name, char *value, int64_t lease)
{
	plan->bytes += value ? strlen(value) : 0;
	*add(plan) = (struct etcd_change){key_of(plan, kind, name), keep(plan, value), lease, false};
}

void shared_plan_put_once(
	struct shared_plan *plan, enum shared_kind kind, const char *name, const char *value)
{
	const char *key = key_of(plan, kind, name);

	for (size_t i = 0; i < plan->nchange; i++)
		if (key && plan->change[i].key && strcmp(plan->change[i].key, key) == 0)
			return;
	*add(plan) = (struct etcd_change){key, keep(plan, strdup(value)), 0, false};
}

void shared_plan_del(struct shared_plan *plan, enum shared_kind kind, const char *name, bool tree)
{
	*add(plan) = (struct etcd_change){key_of(plan, kind, name), NULL, 0, tree};
}

bool shared_plan_fits(const struct shared_plan *plan, size_t changes, size_t bytes)
{
	return plan->nchange + changes < ETCD_OPS && plan->ncompare + 1 < ETCD_OPS &&
	       plan->bytes + bytes + changes * OF_A_CHANGE < SHARED_TXN_BYTES;
}

struct etcd_op *shared_plan_send(struct shared_plan *plan, uint64_t id,
	void (*done)(void *arg, const struct etcd_answer *answer, bool took), void *arg)
{
	const struct shared *shared = plan->shared;
	char *at = key_of(plan, SHARED_AT, ""), text[UUID_TEXT + KEY_TEXT];
	struct etcd_txn txn = {
		.compares = plan->compare,
		.changes = plan->change,
		.tell = at,
	};

	if (plan->failed)
		return NULL;
	snprintf(text, sizeof(text), "%s %" PRIu64 " %s", shared->token, id, shared->host);
	if (plan->all)
		plan->compare[plan->ncompare++] = (struct etcd_compare){at, shared->at};
	if (plan->nchange)
		plan->change[plan->nchange++] = (struct etcd_change){at, text, 0, false};
	txn.ncompare = plan->ncompare;
	txn.nchange = plan->nchange;
	return etcd_txn(shared->config.etcd, &txn, done, arg);
}

void shared_plan_clear(struct shared_plan *plan)
{
	for (size_t i = 0; i < plan->ntext; i++)
		free(plan->text[i]);
	free(plan);
}
