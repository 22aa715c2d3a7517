/*
 * kv.h: the small key-value store and its sessions. In memory, and in the journal. A key's generations
 * are those of the registry, so a client may mix the indexes of both as it does with Consul.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "registry/base/sorted.h"
#include "registry/base/uuid.h"

struct consul;

enum {
	KV_KEY_MAX = 512,	   /* bytes */
	KV_VALUE_MAX = 512 * 1024, /* as Consul */
	KV_SESSIONS = 4096,
};

#define KV_TOPIC "@kv"

struct kv_entry {
	char *value;
	size_t len;
	uint64_t flags, created, modified, lock_index;
	int64_t locked_until_ms; /* nobody may take it before (lock delay), CLOCK_MONOTONIC */
	char session[UUID_TEXT]; /* that holds it, "": none */
	char key[];
};

struct consul_kv {
	struct sorted entries; /* struct kv_entry *, by key */
	size_t bytes;	       /* of all keys and values, and what goes with each */
	uint64_t deleted;      /* generation of the last deletion */
};

/* kv.c */
/** NULL: there is none. */
struct kv_entry *kv_find(struct consul *consul, const char *key);
/** Where the keys begin that are not before `key`: an index of kv.entries. */
size_t kv_from(struct consul *consul, const char *key);
/**
 * One generation with this value, held by `session` (""). -EINVAL (the key), -EFBIG (the value), -ENOSPC (all keys and
 * values together), -ENOMEM.
 */
int kv_put(struct consul *consul, const char *key, const char *value, size_t len, uint64_t flags,
	const char *session);
/** One generation without the key, or without `max` of those that begin with it. True when there are more. */
bool kv_del(struct consul *consul, const char *key, bool recurse, size_t max);
/** The bytes in base64, to be freed; NULL: no memory. */
char *kv_base64(const void *bytes, size_t len);
/** The session is gone: one generation without what it held, or with that held by nobody, for `delay_ms`. */
void kv_release(struct consul *consul, const char *session, bool forget, int64_t delay_ms);
void kv_restore(struct consul *consul, const char *key, const char *value);
void kv_close(struct consul *consul);
int64_t kv_now_ms(void);

/* session.c */
bool session_exists(struct consul *consul, const char *id);
void session_close(struct consul *consul);
