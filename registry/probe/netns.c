/*
 * netns.c: the sockets in a gateway's namespace that half-open probes are made with.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "registry/probe/inside.h"

/* Answers to a thousand SYNs under way, several times over; SYNs to thousands of neighbours that are gone. */
enum { QUEUE_BYTES = 4 << 20, SEND_BYTES = 16 << 20 };

/* The address by which the gateway's kernel reaches the target. */
static int find_address(const struct registry_sink *sink, const struct syn_target *target, uint32_t *address)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(target->port), .sin_addr.s_addr = target->address};
	socklen_t size = sizeof(at);
	int rc = 0, fd = sink->socket(sink->ctx, target->network, AF_INET, SOCK_DGRAM);

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&at, size) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		rc = -errno;
	*address = at.sin_addr.s_addr;
	close(fd);
	return rc;
}

/* Holds a port that nothing listens on, so that the kernel resets what is answered to it. */
static int hold_port(struct syn_netns *netns, const struct registry_sink *sink, const char *network)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = netns->address};
	socklen_t size = sizeof(at);

	netns->holder = sink->socket(sink->ctx, network, AF_INET, SOCK_STREAM);
	if (netns->holder < 0)
		return netns->holder;
	if (bind(netns->holder, (struct sockaddr *)&at, size) < 0 ||
		getsockname(netns->holder, (struct sockaddr *)&at, &size) < 0)
		return -errno;
	netns->port = ntohs(at.sin_port);
	return 0;
}

/* Nothing comes in but what goes to the held port, and of that no more than SEGMENT_READ bytes. */
static int attach_filter(const struct syn_netns *netns)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* X: bytes of the IP header */
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),	/* the destination port */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, netns->port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SEGMENT_READ),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(netns->raw, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
												   : 0;
}

static int open_raw(struct syn_netns *netns, const struct registry_sink *sink, const char *network)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = netns->address};
	int on = 1, size = QUEUE_BYTES, out = SEND_BYTES, rc;

	netns->raw = sink->socket(sink->ctx, network, AF_INET, SOCK_RAW);
	if (netns->raw < 0)
		return netns->raw;
	rc = attach_filter(netns);
	if (rc < 0)
		return rc;
	if (bind(netns->raw, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		setsockopt(netns->raw, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) < 0)
		return -errno;
	if (setsockopt(netns->raw, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(netns->raw, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(netns->raw, SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof(out)) < 0)
		setsockopt(netns->raw, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out));
	return 0;
}

/* Many SYNs have many answers, which come one by one as the switch gets round to them: to be woken for each
 * would take longer than to read it. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct syn_netns *netns = arg;

	if (syn_wire_send(netns) < SYN_MANY || netns->raw < 0 || wheel_is_set(&netns->lull))
		return;
	event_del(&netns->readable);
	wheel_set(netns->syn->wheel, &netns->lull, wheel_now_us() + SYN_LULL_US);
}

static void on_lull(void *arg)
{
	struct syn_netns *netns = arg;

	event_add(&netns->readable, NULL);
	syn_wire_read(netns);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	syn_wire_read(arg);
}

static void close_sockets(struct syn_netns *netns)
{
	if (netns->raw >= 0) {
		event_del(&netns->readable);
		wheel_clear(netns->syn->wheel, &netns->lull);
		close(netns->raw);
	}
	if (netns->holder >= 0)
		close(netns->holder);
	netns->raw = netns->holder = -1;
}

static void open_sockets(struct syn_netns *netns, const struct syn_target *target)
{
	const struct registry_sink *sink = netns->syn->sink;
	int rc;

	if (find_address(sink, target, &netns->address) < 0)
		return; /* that may be this target's matter alone */
	rc = hold_port(netns, sink, target->network);
	if (rc == 0)
		rc = open_raw(netns, sink, target->network);
	if (rc < 0) {
		if (netns->raw >= 0)
			close(netns->raw);
		netns->raw = -1;
		close_sockets(netns);
		netns->away_until = wheel_now_us() + SYN_AWAY_MS * UINT64_C(1000);
		return;
	}
	event_assign(
		&netns->readable, netns->syn->base, netns->raw, EV_READ | EV_PERSIST, on_readable, netns);
	event_add(&netns->readable, NULL);
}

static void on_idle(void *arg)
{
	const uint64_t idle_us = SYN_IDLE_MS * UINT64_C(1000);
	struct syn_netns *netns = arg;
	uint64_t now = wheel_now_us();

	if (netns->probes == 0 && now - netns->used_us >= idle_us && now >= netns->away_until)
		syn_netns_free(netns);
	else
		wheel_set(netns->syn->wheel, &netns->idle, now + idle_us);
}

static struct syn_netns *netns_new(struct syn *syn, const struct syn_target *target)
{
	struct syn_netns *netns = calloc(1, sizeof(*netns));

	if (!netns)
		return NULL;
	netns->syn = syn;
	netns->id = target->netns_id;
	snprintf(netns->network, sizeof(netns->network), "%s", target->network);
	netns->raw = netns->holder = -1;
	TAILQ_INIT(&netns->queue);
	event_assign(&netns->flush, syn->base, -1, 0, on_flush, netns);
	wheel_timer_init(&netns->idle, on_idle, netns);
	wheel_timer_init(&netns->lull, on_lull, netns);
	wheel_set(syn->wheel, &netns->idle, wheel_now_us() + SYN_IDLE_MS * UINT64_C(1000));
	LIST_INSERT_HEAD(&syn->netns[netns->id % SYN_NETNS_BUCKETS], netns, link);
	return netns;
}

void syn_netns_free(struct syn_netns *netns)
{
	close_sockets(netns);
	event_del(&netns->flush);
	wheel_clear(netns->syn->wheel, &netns->idle);
	LIST_REMOVE(netns, link);
	free(netns);
}

struct syn_netns *syn_netns_get(struct syn *syn, const struct syn_target *target)
{
	struct syn_netns *netns;
	uint64_t now = wheel_now_us();

	LIST_FOREACH (netns, &syn->netns[target->netns_id % SYN_NETNS_BUCKETS], link)
		if (netns->id == target->netns_id)
			break;
	if (!netns)
		netns = netns_new(syn, target);
	if (!netns)
		return NULL;
	netns->used_us = now;
	if (netns->raw < 0 && now >= netns->away_until)
		open_sockets(netns, target);
	return netns->raw >= 0 ? netns : NULL;
}

/* For each probe of the netns under way, in one bucket. */
static void end_without_result(struct syn_netns *netns, struct syn_bucket *bucket)
{
	struct syn_probe *probe, *next;

	for (probe = LIST_FIRST(bucket); probe; probe = next) {
		next = LIST_NEXT(probe, link);
		if (probe->netns == netns)
			syn_end(probe, SYN_GIVEN_UP);
	}
}

void syn_netns_leave(struct syn_netns *netns)
{
	const struct registry_sink *sink = netns->syn->sink;
	char line[200];

	snprintf(line, sizeof(line),
		"network %s: somebody sends false answers to TCP checks in masses; for %u s they are whole "
		"handshakes",
		netns->network, SYN_AWAY_MS / 1000);
	sink->log(sink->ctx, LOG_WARNING, netns->network, line);
	close_sockets(netns);
	netns->away_until = wheel_now_us() + SYN_AWAY_MS * UINT64_C(1000);
	for (unsigned i = 0; netns->probes > 0 && i < SYN_BUCKETS; i++)
		end_without_result(netns, &netns->syn->probes[i]);
}
