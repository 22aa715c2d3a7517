#include "bench/hosts/dataplane.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dataplane.h"

/* As many as the model has room for. */
enum { NUMBERS = 8192 };

/* Numbers that are free again are given again. */
struct numbers {
	uint16_t next, nfree, *free;
};

struct dp {
	struct dp_config config;
	struct numbers networks, ports, vteps;
	uint32_t services;
};

const uint8_t dp_router_mac[6] = {0x02, 0x53, 0x4c, 0x00, 0x00, 0x01}; /* as dataplane/l2/network.c has it */
size_t hosts_entries;
static uint8_t watched[6];
static void (*on_watched)(void);

void hosts_watch(const uint8_t *mac, void (*fn)(void))
{
	on_watched = mac ? fn : NULL;
	if (mac)
		memcpy(watched, mac, sizeof(watched));
}

static int take(struct numbers *numbers, uint16_t *id)
{
	if (numbers->nfree)
		*id = numbers->free[--numbers->nfree];
	else if (numbers->next < NUMBERS)
		*id = numbers->next++;
	else
		return -ENOSPC;
	return 0;
}

static int give(struct numbers *numbers, uint16_t id)
{
	uint16_t *more = numbers->free;

	if (numbers->nfree % 64 == 0)
		more = realloc(numbers->free, (numbers->nfree + 64U) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	numbers->free = more;
	numbers->free[numbers->nfree++] = id;
	return 0;
}

int dp_fail(struct dp_err *err, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (err)
		vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return rc;
}

int dp_open(const struct dp_config *config, struct dp **dp, struct dp_err *err)
{
	*dp = calloc(1, sizeof(**dp));
	if (!*dp)
		return -ENOMEM;
	(*dp)->config = *config;
	return 0;
}

int dp_check(const struct dp_config *config, struct dp_err *err)
{
	return 0;
}

/* A simulation ends with its process. */
void dp_close(struct dp *dp) {}

bool dp_guests_can_block(const struct dp *dp)
{
	return false;
}

int dp_uring(const struct dp *dp)
{
	return 0;
}

int dp_network_add(struct dp *dp, const struct dp_network *spec, uint16_t *id, struct dp_err *err)
{
	return take(&dp->networks, id);
}

int dp_network_set(struct dp *dp, uint16_t id, const struct dp_network *spec, struct dp_err *err)
{
	return 0;
}

int dp_network_del(struct dp *dp, uint16_t id)
{
	return give(&dp->networks, id);
}

int dp_network_known(struct dp *dp, uint16_t net, const struct dp_known *known, size_t n, bool closed)
{
	return 0;
}

int dp_network_hosts(struct dp *dp, uint16_t net, const uint8_t *own, const struct dp_range *ranges, size_t n)
{
	return 0;
}

int dp_port_add(struct dp *dp, const struct dp_port *spec, uint16_t *id, struct dp_err *err)
{
	return take(&dp->ports, id);
}

int dp_port_core_check(struct dp *dp, const struct dp_port *spec, struct dp_err *err)
{
	return 0;
}

int dp_port_set(struct dp *dp, uint16_t id, const struct dp_port *spec, struct dp_err *err)
{
	return 0;
}

int dp_port_del(struct dp *dp, uint16_t id)
{
	return give(&dp->ports, id);
}

bool dp_port_lost(struct dp *dp, uint16_t id)
{
	return false;
}

int dp_port_plug(struct dp *dp, uint16_t id, const int *fds)
{
	return 0;
}

void dp_port_unplug(struct dp *dp, uint16_t id) {}

int dp_port_info(struct dp *dp, uint16_t id, struct dp_port_info *info)
{
	*info = (struct dp_port_info){.up = true};
	return 0;
}

int dp_port_guest(struct dp *dp, uint16_t id, struct dp_port_guest *guest)
{
	return -ENOENT;
}

int dp_vtep_add(struct dp *dp, uint16_t net, struct ip_addr remote, uint16_t *id, struct dp_err *err)
{
	return take(&dp->vteps, id);
}

int dp_vtep_del(struct dp *dp, uint16_t id)
{
	return give(&dp->vteps, id);
}

int dp_vtep_info(struct dp *dp, uint16_t id, struct dp_vtep_info *info)
{
	return -ENOENT;
}

int dp_vtep_watch(struct dp *dp, uint16_t id, uint32_t interval_ms, uint8_t multiplier)
{
	return 0;
}

int dp_vtep_of(struct dp *dp, uint16_t net, struct ip_addr ip, uint16_t *vtep)
{
	return -ENOENT;
}

void dp_vtep_walk(struct dp *dp, uint16_t vtep, void (*fn)(void *arg, struct ip_addr ip), void *arg) {}

int dp_peer_info(struct dp *dp, struct ip_addr remote, struct dp_peer *peer)
{
	return -ENOENT;
}

int dp_fdb_add(struct dp *dp, const struct dp_fdb_entry *entry)
{
	hosts_entries++;
	if (on_watched && !memcmp(entry->mac, watched, sizeof(watched)))
		on_watched();
	return 0;
}

int dp_fdb_del(struct dp *dp, uint16_t net, const uint8_t mac[6])
{
	hosts_entries--;
	return 0;
}

int dp_service_put(struct dp *dp, const struct dp_service *spec, uint32_t *id, struct dp_err *err)
{
	if (*id == DP_SERVICE_NONE)
		*id = dp->services++;
	return 0;
}

int dp_service_del(struct dp *dp, uint32_t id)
{
	return 0;
}

int dp_backend_info(
	struct dp *dp, uint32_t service, struct ip_addr address, uint16_t port, struct dp_backend_info *info)
{
	return -ENOENT;
}

int dp_publish(struct dp *dp, const struct dp_published *list, size_t n, struct dp_err *err)
{
	return 0;
}

/* What is only shown, and is nothing here. */

void dp_fdb_flush(struct dp *dp, uint16_t net) {}

bool dp_fdb_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_fdb_entry *entry), void *arg)
{
	return false;
}

size_t dp_neighbours(struct dp *dp, uint16_t uplink, struct dp_neighbour *out, size_t max)
{
	return 0;
}

void dp_drop_walk(struct dp *dp, void (*fn)(void *arg, const struct dp_drop *drop), void *arg) {}

int dp_network_info(struct dp *dp, uint16_t id, struct dp_net_info *info)
{
	return -ENOENT;
}

double dp_gap_us(unsigned gap)
{
	return 0;
}

int dp_worker_info(struct dp *dp, unsigned worker, struct dp_worker_info *info)
{
	return -ENOENT;
}

unsigned dp_memory_mb(struct dp *dp)
{
	return 0;
}

size_t dp_conn_count(struct dp *dp)
{
	return 0;
}

size_t dp_conn_count_of(struct dp *dp, uint16_t net, uint32_t *share)
{
	return 0;
}

size_t dp_egress_count_of(struct dp *dp, uint16_t net)
{
	return 0;
}

bool dp_conn_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_conn *conn), void *arg)
{
	return false;
}

bool dp_egress_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_egress_conn *conn), void *arg)
{
	return false;
}

void dp_peers_sum(struct dp *dp, struct dp_peers_sum *sum)
{
	*sum = (struct dp_peers_sum){0};
}

size_t dp_peers(struct dp *dp, struct dp_peer *out, size_t max)
{
	return 0;
}

void dp_fdb_walk(struct dp *dp, bool (*fn)(void *arg, const struct dp_fdb_entry *entry), void *arg) {}

void dp_services_begin(struct dp *dp) {}

void dp_restoring(struct dp *dp, bool yes) {}

void dp_services_end(struct dp *dp) {}

/* Nobody asks for an address that is taken. */
int dp_port_of_ip(struct dp *dp, uint16_t net, struct ip_addr ip)
{
	return -ENOENT;
}
