#include "tests/unit/dataplane/hosts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/host/netlink.h"
#include "control/host/netns.h"
#include "control/host/tap.h"
#include "dataplane/engine/loop.h"
#include "dataplane/port/types.h"
#include "tests/unit/unit.h"

void hosts_isolate(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0) {
		puts("skipped: needs root and /dev/net/tun");
		exit(EXIT_SKIPPED);
	}
}

static void *timer_add(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg)
{
	struct bench *bench = ctx;
	struct timer *timer = bench->timer;

	while (timer->fn)
		timer++;
	*timer = (struct timer){fn, arg};
	return timer;
}

static void timer_del(void *ctx, void *handle)
{
	*(struct timer *)handle = (struct timer){0};
}

void bench_open(struct bench *bench)
{
	memset(bench, 0, sizeof(*bench));
	bench->dp.config.loop =
		(struct dp_loop){.ctx = bench, .timer_add = timer_add, .timer_del = timer_del};
	assert_int_equal(worker_new(&bench->dp, 0, -1, &bench->w), 0);
}

void bench_close(struct bench *bench)
{
	worker_free(bench->w);
}

void bench_tick(struct bench *bench)
{
	for (struct timer *timer = bench->timer; timer < bench->timer + 8; timer++)
		if (timer->fn)
			timer->fn(timer->arg);
}

void here_run(const char *fmt, ...)
{
	char command[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

void host_run(const struct host *host, const char *fmt, ...)
{
	int back = netns_enter(host->netns);
	char command[400];
	va_list args;

	assert_true(back >= 0);
	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	assert_int_equal(system(command), 0);
	netns_leave(back);
}

void host_set_up(struct host *host, bool up)
{
	const char *to = up ? "up" : "down";

	if (host->kind == HOST_TAP)
		host_run(host, "ip link set eth0 %s", to);
	else
		here_run("ip link set %s %s", host->outer, to);
}

static void open_tap(struct host *host)
{
	struct tap_spec spec = {.ifname = "eth0", .netns = host->netns, .scratch_netns = -1, .queues = 1};

	host->port.spec.type = DP_TAP;
	host->port.spec.nfds = 1;
	assert_int_equal(tap_open(&spec, host->port.spec.fds), 0);
}

static void open_veth(struct host *host)
{
	/* the kernel takes a namespace apart in the background, so a name may be in use for a while */
	static unsigned number;
	int home = open("/proc/self/ns/net", O_RDONLY);

	snprintf(host->outer, sizeof(host->outer), "v%u", number++);
	host_run(host, "ip link add eth0 type veth peer name %s netns /proc/%d/fd/%d", host->outer, getpid(),
		home);
	close(home);
	here_run("ip link set %s up", host->outer);
	host->port.spec.type = DP_AF_PACKET;
	host->port.spec.device = host->outer;
}

static void configure(struct host *host, unsigned number)
{
	struct netlink_link change = {.mac = host->mac, .up = true};
	struct netlink *nl;

	host_run(host, "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad");
	assert_int_equal(netlink_open(host->netns, &nl), 0);
	host->index = netlink_index(nl, "eth0");
	assert_true(host->index > 0);
	assert_int_equal(netlink_link_set(nl, host->index, &change), 0);
	assert_int_equal(netlink_addr_add(nl, host->index, ip_from4(htonl(0x0a090000 + number)), 24), 0);
	netlink_close(nl);
	/* the kernel gives it once it has seen the carrier */
	host_run(host, "until ip -6 addr show dev eth0 | grep -q fe80; do sleep 0.01; done");
}

void host_make(struct host *host, enum host_kind kind, unsigned number)
{
	memset(host, 0, sizeof(*host));
	host->kind = kind;
	host->mac[0] = 2;
	host->mac[5] = (uint8_t)number;
	host->netns = netns_new();
	assert_true(host->netns >= 0);
	if (kind == HOST_TAP)
		open_tap(host);
	else
		open_veth(host);
	configure(host, number);
}

void host_unmake(struct host *host)
{
	close(host->netns);
}

void host_open(struct host *host, struct bench *bench, enum host_kind kind, unsigned number)
{
	struct dp_err err = {""};

	host_make(host, kind, number);
	host->port.dp = &bench->dp;
	host->port.id = (uint16_t)number;
	host->port.mtu = 1500;
	host->port.nqueue = 1;
	host->port.ops = port_type_ops(host->port.spec.type);
	if (host->port.ops->open(&host->port, &err))
		fail_msg("%s", err.text);
}

void host_close(struct host *host)
{
	host->port.ops->close(&host->port);
	host_unmake(host);
}

struct burst *host_rx(struct bench *bench, struct host *host)
{
	struct burst *b = &bench->w->burst;

	b->in = &host->port;
	b->queue = 0;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
	host->port.ops->rx(&host->port, bench->w, b);
	return b;
}

void host_complete(struct bench *bench, struct host *host)
{
	if (host->port.ops->complete)
		host->port.ops->complete(&host->port, bench->w, &bench->w->burst);
}

uint16_t host_tx(struct bench *bench, struct host *host, struct frame *f)
{
	struct frame *const list[] = {f};

	return host->port.ops->tx(&host->port, bench->w, list, 1);
}

uint64_t host_drops(const struct bench *bench, const struct host *host, enum drop_reason reason)
{
	return bench->w->port_stats[host->port.id].drop[reason];
}
