/*
 * kv_delay.c: lock delays. They hang on the key's name and not on the key, so that neither who deletes it nor a session
 * that takes its keys along makes the wait shorter.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"

static size_t delay_size(const struct kv_delay *delay)
{
	return sizeof(*delay) + strlen(delay->key) + 1;
}

static struct kv_delay *delay_find(const struct consul *consul, const char *key)
{
	struct kv_delay *delay;

	HASH_FIND_STR(consul->kv.delays, key, delay);
	return delay;
}

bool kv_delay_holds(const struct consul *consul, const char *key)
{
	const struct kv_delay *delay = delay_find(consul, key);

	return delay && delay->waits;
}

static void delay_end(struct kv_delay *delay)
{
	struct consul *consul = delay->consul;

	event_del(&delay->timer);
	HASH_DEL(consul->kv.delays, delay);
	consul->kv.bytes -= delay_size(delay);
	free(delay);
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	struct kv_delay *delay = arg;

	delay->waits = false;
	if (!delay->mod)
		delay_end(delay);
}

static struct kv_delay *delay_make(struct consul *consul, const char *key)
{
	struct kv_delay *delay = calloc(1, sizeof(*delay) + strlen(key) + 1);

	if (!delay)
		return NULL;
	delay->consul = consul;
	strcpy(delay->key, key);
	event_assign(&delay->timer, consul->base, -1, 0, on_over, delay);
	HASH_ADD_STR(consul->kv.delays, key, delay);
	if (!delay->hh.tbl) {
		free(delay);
		return NULL;
	}
	consul->kv.bytes += delay_size(delay);
	return delay;
}

void kv_delay(struct consul *consul, const char *key, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	struct kv_delay *delay = ms > 0 ? delay_find(consul, key) : NULL;

	if (ms > 0 && !delay)
		delay = delay_make(consul, key);
	if (!delay)
		return;
	delay->waits = event_add(&delay->timer, &tv) == 0;
	if (!delay->waits && !delay->mod)
		delay_end(delay);
}

uint64_t kv_delay_mod(const struct consul *consul, const char *key)
{
	const struct kv_delay *delay = delay_find(consul, key);

	return delay ? delay->mod : 0;
}

static void mark(struct kv_delay *delay, uint64_t mod)
{
	delay->mod = mod;
	if (!mod && !delay->waits)
		delay_end(delay);
}

void kv_delay_mark(struct consul *consul, const char *key, uint64_t mod)
{
	struct kv_delay *delay = delay_find(consul, key);

	if (!delay && mod)
		delay = delay_make(consul, key);
	if (delay)
		mark(delay, mod);
}

void kv_delay_unmark(struct consul *consul)
{
	struct kv_delay *delay, *next;

	HASH_ITER(hh, consul->kv.delays, delay, next)
	mark(delay, 0);
}

void kv_delay_close(struct consul *consul)
{
	while (consul->kv.delays)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what has ended is in the table no more */
		delay_end(consul->kv.delays);
}
