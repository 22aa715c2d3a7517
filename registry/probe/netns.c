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
static int hold_port(struct syn_place *place, const struct registry_sink *sink, const char *network)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = place->address};
	socklen_t size = sizeof(at);

	place->holder = sink->socket(sink->ctx, network, AF_INET, SOCK_STREAM);
	if (place->holder < 0)
		return place->holder;
	if (bind(place->holder, (struct sockaddr *)&at, size) < 0 ||
		getsockname(place->holder, (struct sockaddr *)&at, &size) < 0)
		return -errno;
	place->port = ntohs(at.sin_port);
	return 0;
}

/* Nothing comes in but what goes to the held port, and of that no more than SEGMENT_READ bytes. */
static int attach_filter(const struct syn_place *place)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* X: bytes of the IP header */
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),	/* the destination port */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, place->port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SEGMENT_READ),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(place->raw, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
												   : 0;
}

static int open_raw(struct syn_place *place, const struct registry_sink *sink, const char *network)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = place->address};
	int on = 1, size = QUEUE_BYTES, out = SEND_BYTES, rc;

	place->raw = sink->socket(sink->ctx, network, AF_INET, SOCK_RAW);
	if (place->raw < 0)
		return place->raw;
	rc = attach_filter(place);
	if (rc < 0)
		return rc;
	if (bind(place->raw, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		setsockopt(place->raw, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) < 0)
		return -errno;
	if (setsockopt(place->raw, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(place->raw, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(place->raw, SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof(out)) < 0)
		setsockopt(place->raw, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out));
	return 0;
}

/* Many SYNs have many answers, which come one by one as the switch gets round to them: to be woken for each
 * would take longer than to read it. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct syn_place *place = arg;

	if (syn_wire_send(place) < SYN_MANY || place->raw < 0 || wheel_is_set(&place->lull))
		return;
	event_del(&place->readable);
	wheel_set(place->syn->wheel, &place->lull, wheel_now_us() + SYN_LULL_US);
}

static void on_lull(void *arg)
{
	struct syn_place *place = arg;

	event_add(&place->readable, NULL);
	syn_wire_read(place);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	syn_wire_read(arg);
}

static void close_sockets(struct syn_place *place)
{
	if (place->raw >= 0) {
		event_del(&place->readable);
		wheel_clear(place->syn->wheel, &place->lull);
		close(place->raw);
	}
	if (place->holder >= 0)
		close(place->holder);
	place->raw = place->holder = -1;
}

static void open_sockets(struct syn_place *place, const struct syn_target *target)
{
	const struct registry_sink *sink = place->syn->sink;
	int rc;

	if (find_address(sink, target, &place->address) < 0)
		return; /* that may be this target's matter alone */
	rc = hold_port(place, sink, target->network);
	if (rc == 0)
		rc = open_raw(place, sink, target->network);
	if (rc < 0) {
		if (place->raw >= 0)
			close(place->raw);
		place->raw = -1;
		close_sockets(place);
		place->away_until = wheel_now_us() + SYN_AWAY_MS * UINT64_C(1000);
		return;
	}
	event_assign(
		&place->readable, place->syn->base, place->raw, EV_READ | EV_PERSIST, on_readable, place);
	event_add(&place->readable, NULL);
}

static void on_idle(void *arg)
{
	const uint64_t idle_us = SYN_IDLE_MS * UINT64_C(1000);
	struct syn_place *place = arg;
	uint64_t now = wheel_now_us();

	if (place->probes == 0 && now - place->used_us >= idle_us && now >= place->away_until)
		syn_place_free(place);
	else
		wheel_set(place->syn->wheel, &place->idle, now + idle_us);
}

static struct syn_place *place_new(struct syn *syn, const struct syn_target *target)
{
	struct syn_place *place = calloc(1, sizeof(*place));

	if (!place)
		return NULL;
	place->syn = syn;
	place->id = target->place;
	snprintf(place->network, sizeof(place->network), "%s", target->network);
	place->raw = place->holder = -1;
	TAILQ_INIT(&place->queue);
	event_assign(&place->flush, syn->base, -1, 0, on_flush, place);
	wheel_timer_init(&place->idle, on_idle, place);
	wheel_timer_init(&place->lull, on_lull, place);
	wheel_set(syn->wheel, &place->idle, wheel_now_us() + SYN_IDLE_MS * UINT64_C(1000));
	LIST_INSERT_HEAD(&syn->places[place->id % SYN_PLACES], place, link);
	return place;
}

void syn_place_free(struct syn_place *place)
{
	close_sockets(place);
	event_del(&place->flush);
	wheel_clear(place->syn->wheel, &place->idle);
	LIST_REMOVE(place, link);
	free(place);
}

struct syn_place *syn_place_get(struct syn *syn, const struct syn_target *target)
{
	struct syn_place *place;
	uint64_t now = wheel_now_us();

	LIST_FOREACH (place, &syn->places[target->place % SYN_PLACES], link)
		if (place->id == target->place)
			break;
	if (!place)
		place = place_new(syn, target);
	if (!place)
		return NULL;
	place->used_us = now;
	if (place->raw < 0 && now >= place->away_until)
		open_sockets(place, target);
	return place->raw >= 0 ? place : NULL;
}

/* For each probe of the place under way, in one bucket. */
static void end_without_result(struct syn_place *place, struct syn_bucket *bucket)
{
	struct syn_probe *probe, *next;

	for (probe = LIST_FIRST(bucket); probe; probe = next) {
		next = LIST_NEXT(probe, link);
		if (probe->place == place)
			syn_end(probe, SYN_GIVEN_UP);
	}
}

void syn_place_leave(struct syn_place *place)
{
	const struct registry_sink *sink = place->syn->sink;
	char line[200];

	snprintf(line, sizeof(line),
		"network %s: somebody sends false answers to TCP checks in masses; for %u s they are whole "
		"handshakes",
		place->network, SYN_AWAY_MS / 1000);
	sink->log(sink->ctx, LOG_WARNING, place->network, line);
	close_sockets(place);
	place->away_until = wheel_now_us() + SYN_AWAY_MS * UINT64_C(1000);
	for (unsigned i = 0; place->probes > 0 && i < SYN_BUCKETS; i++)
		end_without_result(place, &place->syn->probes[i]);
}
