#include "dataplane/egress/hop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/siphash.h"
#include "dataplane/l2/neigh.h"

enum {
	SILENT_S = 5,	/* an address that does not answer keeps its place */
	UNUSED_S = 300, /* one that nobody sends to */
};

#define HOP_USED (UINT64_C(1) << 63)

/* What workers see. The key is taken away before the MAC is another's. */
struct hop {
	_Atomic(uint64_t) key; /* key_of(); 0: free */
	_Atomic(uint64_t) mac; /* 0: not known */
	_Atomic(uint32_t) used_s;
};

/* What control keeps of it. */
struct hop_record {
	struct hops *hops;
	struct hop *hop;
	uint16_t uplink;
	struct ip_addr ip;
	bool used, stays;
	uint32_t since_s;
	uint32_t by; /* who asked: the id of a port, HOP_BY_CONTROL */
};

struct hops {
	struct dp *dp;
	uint64_t secret[2];
	struct hop hop[HOPS];
	struct hop_record record[HOPS];
};

struct hops *hops_new(struct dp *dp)
{
	struct hops *hops = calloc(1, sizeof(*hops));

	if (!hops || getrandom(hops->secret, sizeof(hops->secret), 0) != sizeof(hops->secret)) {
		free(hops);
		return NULL;
	}
	hops->dp = dp;
	for (unsigned i = 0; i < HOPS; i++) {
		hops->record[i].hops = hops;
		hops->record[i].hop = &hops->hop[i];
	}
	return hops;
}

void hops_free(struct hops *hops)
{
	free(hops);
}

/* Stands for uplink and address: of 63 bits under a secret, nobody finds two that have the same one. */
static uint64_t key_of(const struct hops *hops, uint16_t uplink, struct ip_addr ip)
{
	const uint64_t message[] = {ip.q[0], ip.q[1], uplink};

	return HOP_USED | siphash13_words(hops->secret, message, 3);
}

/* The first of the set. */
static unsigned set_of(uint64_t key)
{
	return (unsigned)(key % HOP_SETS) * HOP_WAYS;
}

/* Returns HOPS when there is none. */
static unsigned find(const struct hops *hops, uint64_t key)
{
	unsigned set = set_of(key);

	for (unsigned i = set; i < set + HOP_WAYS; i++)
		if (atomic_load_explicit(&hops->hop[i].key, memory_order_acquire) == key)
			return i;
	return HOPS;
}

enum hop_state hop_find(struct hops *hops, uint16_t uplink, struct ip_addr ip, uint32_t now_s, uint8_t mac[6])
{
	uint64_t key = key_of(hops, uplink, ip), found;
	unsigned at = find(hops, key);
	struct hop *hop = &hops->hop[at < HOPS ? at : 0];

	if (at == HOPS)
		return HOP_UNKNOWN;
	found = atomic_load_explicit(&hop->mac, memory_order_acquire);
	if (!found || atomic_load_explicit(&hop->key, memory_order_relaxed) != key)
		return HOP_ASKED;
	if (atomic_load_explicit(&hop->used_s, memory_order_relaxed) != now_s)
		atomic_store_explicit(&hop->used_s, now_s, memory_order_relaxed);
	memcpy(mac, &found, 6);
	return HOP_KNOWN;
}

static void on_mac(void *arg, struct ip_addr ip, const uint8_t *mac)
{
	const struct hop_record *record = arg;
	uint64_t known = 0;

	if (mac)
		memcpy(&known, mac, 6);
	atomic_store_explicit(&record->hop->mac, known, memory_order_release);
}

static struct neigh_scope scope_of(const struct hop_record *record)
{
	return (struct neigh_scope){.net = NET_NONE, .uplink = record->uplink};
}

static void forget(struct hop_record *record)
{
	neigh_release(record->hops->dp, scope_of(record), record->ip, on_mac, record);
	atomic_store_explicit(&record->hop->key, 0, memory_order_release);
	atomic_store_explicit(&record->hop->mac, 0, memory_order_release);
	record->used = false;
}

/* Is its time over? */
static bool is_over(const struct hop_record *record, uint32_t now_s)
{
	if (record->stays)
		return false;
	if (!atomic_load_explicit(&record->hop->mac, memory_order_relaxed))
		return now_s - record->since_s >= SILENT_S;
	return (int32_t)(now_s - atomic_load_explicit(&record->hop->used_s, memory_order_relaxed)) >=
	       UNUSED_S;
}

/* A place in the set from `set` on, emptied if need be; HOPS: none. */
static unsigned place(struct hops *hops, unsigned set, bool stays, uint32_t now_s)
{
	for (unsigned i = set; i < set + HOP_WAYS; i++)
		if (!hops->record[i].used)
			return i;
	for (unsigned i = set; i < set + HOP_WAYS; i++)
		if (stays ? !hops->record[i].stays : is_over(&hops->record[i], now_s)) {
			forget(&hops->record[i]);
			return i;
		}
	return HOPS;
}

/* How many that port asked for, and have not answered. */
static unsigned silent_of(const struct hops *hops, uint32_t by)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HOPS; i++)
		n += hops->record[i].used && hops->record[i].by == by &&
		     !atomic_load_explicit(&hops->hop[i].mac, memory_order_relaxed);
	return n;
}

void hop_want(struct hops *hops, uint16_t uplink, struct ip_addr ip, uint32_t by)
{
	bool stays = by == HOP_BY_CONTROL;
	uint32_t now_s = dp_now_s(hops->dp);
	uint64_t key = key_of(hops, uplink, ip);
	unsigned at = find(hops, key);
	struct hop_record *record;

	if (at < HOPS) {
		hops->record[at].stays |= stays;
		return;
	}
	if (!stays && silent_of(hops, by) >= HOP_SILENT_MOST)
		return;
	at = place(hops, set_of(key), stays, now_s);
	if (at == HOPS)
		return;
	record = &hops->record[at];
	record->uplink = uplink;
	record->ip = ip;
	record->stays = stays;
	record->by = by;
	record->since_s = now_s;
	record->used = true;
	atomic_store_explicit(&record->hop->used_s, now_s, memory_order_relaxed);
	atomic_store_explicit(&record->hop->key, key, memory_order_release);
	if (neigh_want(hops->dp, scope_of(record), ip, on_mac, record))
		forget(record);
}

void hop_forget(struct hops *hops)
{
	for (unsigned i = 0; i < HOPS; i++)
		if (hops->record[i].used)
			forget(&hops->record[i]);
}

void hop_tick(struct hops *hops)
{
	uint32_t now_s = dp_now_s(hops->dp);

	for (unsigned i = 0; i < HOPS; i++)
		if (hops->record[i].used && is_over(&hops->record[i], now_s))
			forget(&hops->record[i]);
}
