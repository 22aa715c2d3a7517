/*
 * writer.c: keeps this host's keys in the store as they are to be. What the store has is in the view, so a key that was
 * lost there, whatever the reason, is put again, and one that was not put while the store was away comes later: there is
 * no list of what is still to be done, only a difference.
 *
 * The record has the id of its owner. A host writes only while the record is its own, as of the revision that it knows;
 * the first write makes it so. A name that another one has, who is alive, stays the other's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/cluster/inside.h"

enum {
	RENEWALS = 3,
	SECOND_MS = 1000,
	KEY = VIEW_KEY + CLUSTER_PREFIX,
	TXN_BYTES = 1 << 20, /* etcd takes 1.5 MiB */
	BARRED_MS = 10000,   /* until what the store refused is tried again */
};

static void on_write_again(evutil_socket_t fd, short what, void *arg)
{
	cluster_write(arg);
}

static void try_again(struct cluster *cluster)
{
	cluster_back_off(cluster->write_again, cluster->write_failures++);
}

static void granted(struct cluster *cluster, unsigned which, const struct etcd_answer *answer, int64_t id)
{
	struct cluster_lease *lease = &cluster->lease[which];

	lease->op = NULL;
	if (answer->why || !id) {
		try_again(cluster);
		return;
	}
	lease->id = id;
	lease->renewed_ms = cluster_now_ms();
	cluster_write(cluster);
}

static void renewed(struct cluster *cluster, unsigned which, const struct etcd_answer *answer, int64_t ttl_s)
{
	struct cluster_lease *lease = &cluster->lease[which];

	lease->op = NULL;
	if (answer->why) {
		if (answer->refused) /* it is not known there */
			lease->id = 0;
		try_again(cluster);
	} else if (ttl_s <= 0) {
		lease->id = 0;
		cluster_write(cluster);
	} else {
		lease->renewed_ms = cluster_now_ms();
	}
}

static void on_alive_granted(void *arg, const struct etcd_answer *answer, int64_t id)
{
	granted(arg, CLUSTER_ALIVE, answer, id);
}

static void on_long_granted(void *arg, const struct etcd_answer *answer, int64_t id)
{
	granted(arg, CLUSTER_LONG, answer, id);
}

static void on_alive_renewed(void *arg, const struct etcd_answer *answer, int64_t ttl_s)
{
	renewed(arg, CLUSTER_ALIVE, answer, ttl_s);
}

static void on_long_renewed(void *arg, const struct etcd_answer *answer, int64_t ttl_s)
{
	renewed(arg, CLUSTER_LONG, answer, ttl_s);
}

/* Are both there? Those that are not are asked for. */
static bool have_leases(struct cluster *cluster)
{
	static void (*const done[])(void *arg, const struct etcd_answer *answer, int64_t id) = {
		on_alive_granted, on_long_granted};
	bool all = true;

	for (unsigned i = 0; i < CLUSTER_LEASES; i++) {
		struct cluster_lease *lease = &cluster->lease[i];

		all = all && lease->id;
		if (!lease->id && !lease->op)
			lease->op = etcd_grant(cluster->etcd, lease->ttl_s, done[i], cluster);
	}
	return all;
}

void cluster_write_tick(struct cluster *cluster)
{
	static void (*const done[])(void *arg, const struct etcd_answer *answer, int64_t ttl_s) = {
		on_alive_renewed, on_long_renewed};
	int64_t now = cluster_now_ms();

	for (unsigned i = 0; i < CLUSTER_LEASES; i++) {
		struct cluster_lease *lease = &cluster->lease[i];
		int64_t every = lease->ttl_s * SECOND_MS / RENEWALS;

		/* a tick earlier rather than later */
		if (lease->id && !lease->op && now - lease->renewed_ms > every - SECOND_MS)
			lease->op = etcd_renew(cluster->etcd, lease->id, done[i], cluster);
	}
	if (cluster->apart && !evtimer_pending(cluster->write_again, NULL))
		cluster_write(cluster);
}

static void free_sent(struct cluster *cluster)
{
	for (unsigned i = 0; i < cluster->txn_changes; i++) {
		free(cluster->sent[i].key);
		free(cluster->sent[i].value);
	}
	cluster->txn_changes = 0;
	cluster->txn_bytes = 0;
}

static bool is_there(const struct cluster *cluster, const char *key, const char *value, unsigned lease)
{
	const struct view_key *there = view_find(&cluster->view, key);

	return there && !there->ended && !strcmp(there->value, value) &&
	       there->lease == cluster->lease[lease].id;
}

/* Is it not for the next transaction? A role of etcd's may let this host write of some networks only, and what is refused
 * must not keep the others back. */
static bool is_held_back(struct cluster *cluster, const char *key)
{
	struct view_part *part = view_part_of(&cluster->view, key);

	if (!part || (part->barred_ms && cluster_now_ms() - part->barred_ms < BARRED_MS)) {
		cluster->held_back = true;
		return true;
	}
	if (!cluster->txn_changes)
		cluster->txn_part = part;
	return cluster->apart && part != cluster->txn_part;
}

/* What is to be, so far as the store has it otherwise. `value` is taken over. */
static void want(struct cluster *cluster, const char *key, char *value, unsigned lease)
{
	struct cluster_change *change = &cluster->sent[cluster->txn_changes];

	if (!value || cluster->txn_changes == ETCD_OPS || cluster->txn_bytes > TXN_BYTES - VALUE_MAX ||
		is_there(cluster, key, value, lease) || is_held_back(cluster, key)) {
		free(value);
		return;
	}
	*change = (struct cluster_change){strdup(key), value, lease};
	cluster->txn_bytes += change->key ? strlen(value) + KEY : 0;
	if (change->key)
		cluster->txn_changes++;
	else
		free(value);
}

/* A key that this host is to have, for the search of those that it is not. */
static void mark(struct cluster *cluster, const char *key, char *value, unsigned lease)
{
	struct view_key *there = (struct view_key *)view_find(&cluster->view, key);

	if (there)
		there->seen = true;
	free(value);
}

/* Guests are taken out of a chunk before it ends: one that ends with guests in it has ended with its lease. */
static char *emptied(const struct view_key *key)
{
	struct value_chunk chunk = {.vni = key->chunk->vni};

	memcpy(chunk.network, key->chunk->network, sizeof(chunk.network));
	return value_chunk_text(&chunk);
}

static void want_end(struct cluster *cluster, const struct view_key *key)
{
	struct cluster_change *change = &cluster->sent[cluster->txn_changes];
	bool has_guests = key->chunk && key->chunk->n;

	*change = (struct cluster_change){strdup(key->key), has_guests ? emptied(key) : NULL, CLUSTER_LONG};
	if (change->key && (change->value || !has_guests)) {
		cluster->txn_changes++;
		return;
	}
	free(change->key);
	free(change->value);
}

static void want_ends(struct cluster *cluster)
{
	const struct view_host *self = view_host(&cluster->view, cluster->host);
	struct view_key *key;

	if (!self)
		return;
	TAILQ_FOREACH (key, &self->keys, link)
		key->seen = false;
	cluster_local_walk(cluster, mark);
	TAILQ_FOREACH (key, &self->keys, link) {
		if (!key->seen && !key->ended && cluster->txn_changes < ETCD_OPS &&
			!is_held_back(cluster, key->key))
			want_end(cluster, key);
	}
}

/* Has somebody else the name of this host, who is alive? *mod: of the record as it is known. */
static bool is_taken(struct cluster *cluster, int64_t *mod)
{
	const struct view_host *self = view_host(&cluster->view, cluster->host);
	char address[IP_TEXT], before[sizeof(cluster->conflict)];

	*mod = self && self->record_key ? self->record_key->mod : 0;
	snprintf(before, sizeof(before), "%s", cluster->conflict);
	cluster->conflict[0] = '\0';
	if (!*mod || !strcmp(self->record.id, cluster->id) || !self->alive_key)
		return false;
	snprintf(cluster->conflict, sizeof(cluster->conflict), "the name %.32s is that of a host at %s",
		cluster->host, ip_text(self->record.address, address));
	if (strcmp(before, cluster->conflict) != 0)
		log_line(LOG_ERR, "cluster.host: %s: this host is not in the store", cluster->conflict);
	return true;
}

/* What was put is in the view at once, so that it is not put twice. False: not all of it, for which there is no room. */
static bool take_over(struct cluster *cluster, int64_t revision)
{
	bool whole = true;

	for (unsigned i = 0; i < cluster->txn_changes; i++) {
		const struct cluster_change *change = &cluster->sent[i];

		if (change->value)
			view_put(&cluster->view, change->key, change->value, strlen(change->value), revision,
				cluster->lease[change->lease].id);
		else
			view_end(&cluster->view, change->key, revision);
	}
	view_commit_all(&cluster->view, cluster_now_ms());
	for (unsigned i = 0; i < cluster->txn_changes; i++) {
		const struct cluster_change *change = &cluster->sent[i];

		whole = whole &&
			(!change->value || is_there(cluster, change->key, change->value, change->lease));
	}
	return whole;
}

/* It would be put again for ever, and each time be heard of by the watch: that takes its time. */
static void find_no_room(struct cluster *cluster)
{
	if (!cluster->no_room)
		log_line(LOG_WARNING,
			"cluster: what this host put in the store finds no room here, beside all that "
			"is there: it is put again from time to time");
	cluster->no_room = true;
	try_again(cluster);
}

/* Such as a lease that is over, or no permission. Then each part goes by itself, and a network that is refused so waits. True:
 * there may be others to try now. */
static bool is_refused(struct cluster *cluster, const char *why)
{
	struct view_part *part = cluster->txn_part;
	bool was_apart = cluster->apart;

	if (strstr(why, "lease")) {
		log_line(LOG_WARNING, "cluster: etcd refused a change: %s", why);
		for (unsigned i = 0; i < CLUSTER_LEASES; i++)
			cluster->lease[i].id = 0;
		return false;
	}
	cluster->apart = true;
	if (!was_apart || part == &cluster->view.shared) {
		log_line(LOG_WARNING, "cluster: etcd refused a change: %s", why);
		return !was_apart;
	}
	snprintf(part->barred, sizeof(part->barred),
		"network %s: etcd refuses what this host tells of it: %s", part->network, why);
	if (!part->barred_ms)
		log_subject(LOG_WARNING, part->network, "cluster: %s", part->barred);
	part->barred_ms = cluster_now_ms();
	return true;
}

static void on_written(void *arg, const struct etcd_answer *answer, bool took)
{
	struct cluster *cluster = arg;

	cluster->txn = NULL;
	if (!answer->why && took) {
		bool whole = take_over(cluster, answer->revision);

		free_sent(cluster);
		if (!whole) {
			find_no_room(cluster);
			return;
		}
		cluster->no_room = false;
		cluster->write_failures = 0;
		cluster_write(cluster);
		return;
	}
	free_sent(cluster);
	if (answer->why && answer->refused && is_refused(cluster, answer->why)) {
		cluster_write(cluster);
		return;
	}
	/* the record is not as it is known here: once that is the watch's delay, and then a store that forgot something */
	if (!answer->why && cluster->write_failures >= 2)
		cluster_read_anew(cluster);
	try_again(cluster);
}

/* The keys of a transaction have the prefix in the store. */
static struct etcd_op *send_all(struct cluster *cluster, int64_t mod)
{
	struct etcd_change changes[ETCD_OPS];
	char *keys = malloc((cluster->txn_changes + 1) * KEY), *record = keys, own_key[VIEW_KEY];
	const struct etcd_compare own = {record, mod};
	struct etcd_txn txn = {
		.compares = &own, .ncompare = 1, .changes = changes, .nchange = cluster->txn_changes};
	struct etcd_op *op;

	if (!keys)
		return NULL;
	snprintf(own_key, sizeof(own_key), "hosts/%s/host", cluster->host);
	cluster_key(cluster, own_key, record, KEY);
	for (unsigned i = 0; i < cluster->txn_changes; i++) {
		const struct cluster_change *sent = &cluster->sent[i];
		char *key = keys + (i + 1) * KEY;

		cluster_key(cluster, sent->key, key, KEY);
		changes[i] = (struct etcd_change){
			key, sent->value, sent->value ? cluster->lease[sent->lease].id : 0};
	}
	op = etcd_txn(cluster->etcd, &txn, on_written, cluster);
	free(keys);
	return op;
}

/* Nothing is refused any more, unless some is held back. */
static void look_apart(struct cluster *cluster)
{
	struct view_part *part;

	cluster->apart = cluster->held_back;
	TAILQ_FOREACH (part, &cluster->view.parts, link)
		if (!cluster->held_back)
			part->barred_ms = 0;
}

void cluster_write(struct cluster *cluster)
{
	int64_t mod;

	if (cluster->txn || (cluster->no_room && evtimer_pending(cluster->write_again, NULL)))
		return;
	cluster->behind_writes = true;
	if (!cluster->reading || cluster->view.shared.partial || !have_leases(cluster) ||
		is_taken(cluster, &mod))
		return;
	cluster->held_back = false;
	cluster_local_walk(cluster, want);
	want_ends(cluster);
	cluster->behind_writes = cluster->txn_changes > 0 || cluster->held_back;
	if (!cluster->txn_changes) {
		look_apart(cluster);
		return;
	}
	cluster->txn = send_all(cluster, mod);
	if (!cluster->txn) {
		free_sent(cluster);
		try_again(cluster);
	}
}

int cluster_write_open(struct cluster *cluster)
{
	cluster->sent = calloc(ETCD_OPS, sizeof(*cluster->sent));
	cluster->write_again = evtimer_new(cluster->base, on_write_again, cluster);
	return cluster->sent && cluster->write_again ? 0 : -1;
}

void cluster_write_close(struct cluster *cluster)
{
	if (cluster->write_again)
		event_free(cluster->write_again);
	if (cluster->sent)
		free_sent(cluster);
	free(cluster->sent);
}
