/*
 * left.c: which objects are left out for want of room, each once however often it is heard of. Only their keys are kept,
 * and of so many.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/source/kubernetes/inside.h"

enum { MOST = 65536 };

struct kube_left {
	UT_hash_handle hh;
	char key[];
};

static struct kube_left *find(struct kube_left *set, const char *key)
{
	struct kube_left *one = NULL;

	HASH_FIND_STR(set, key, one);
	return one;
}

bool kube_left_add(struct kube_left **set, const char *key)
{
	size_t n = HASH_COUNT(*set), len = strlen(key);
	struct kube_left *one = n < MOST && !find(*set, key) ? calloc(1, sizeof(*one) + len + 1) : NULL;

	if (!one)
		return false;
	memcpy(one->key, key, len + 1);
	HASH_ADD_STR(*set, key, one);
	if (!one->hh.tbl)
		free(one);
	return n == 0;
}

void kube_left_del(struct kube_left **set, const char *key)
{
	struct kube_left *one = find(*set, key);

	if (!one)
		return;
	HASH_DEL(*set, one);
	free(one);
}

void kube_left_clear(struct kube_left **set)
{
	struct kube_left *one = *set, *next;

	HASH_CLEAR(hh, *set);
	for (; one; one = next) {
		next = one->hh.next;
		free(one);
	}
}

size_t kube_left_count(const struct kube_left *set)
{
	return HASH_COUNT(set);
}
