/*
 * tcp.c: can a TCP connection be made? From inside the service's network by half a handshake (syn.h).
 * Elsewhere by a whole one, closed by a reset so that no connection stays behind in TIME_WAIT on this side.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr/ip_text.h"
#include "registry/check/check.h"

struct tcp_probe {
	int fd;
	uint64_t netns_id; /* of its socket, 0: not to be used again */
	struct event writable;
};

static void end_probe(struct check *check, bool connected)
{
	struct tcp_probe *probe = check->probe;

	if (!probe)
		return;
	event_del(&probe->writable);
	if (connected && probe->netns_id)
		check_pool_give(&check->all->pool, probe->netns_id, probe->fd);
	else
		close(probe->fd);
	free(probe);
	check->probe = NULL;
}

/* For want of a socket on this side nothing is known of the target. */
static void tcp_failed(struct check *check, int error)
{
	check_done(check, check_is_local(error) ? CHECK_UNKNOWN : CHECK_FAIL, "%s", strerror(error));
}

static void on_syn_done(void *arg, int result)
{
	struct check *check = arg;

	check->probe = NULL;
	if (result == SYN_OPEN)
		check_done(check, CHECK_PASS, "the port is open");
	else if (result == SYN_GIVEN_UP)
		check_done(check, CHECK_UNKNOWN, "too many false answers in its network");
	else
		tcp_failed(check, result);
}

static bool start_syn(struct check *check, uint64_t netns_id)
{
	const struct syn_target target = {
		.network = check_network(check),
		.netns_id = netns_id,
		.address = ip_to4(check->target.address),
		.port = check->target.port,
		.timeout_ms = check->spec->timeout_ms,
	};
	struct syn_probe *probe;

	if (syn_start(&check->all->syn, &target, on_syn_done, check, &probe) < 0)
		return false;
	check->probe = probe;
	check_lighten(check);
	return true;
}

static void tcp_stop(struct check *check)
{
	if (check->light) {
		syn_stop(check->probe);
		check->probe = NULL;
	} else {
		end_probe(check, false);
	}
}

static void tcp_end(struct check *check, int error)
{
	end_probe(check, error == 0);
	if (error)
		tcp_failed(check, error);
	else
		check_done(check, CHECK_PASS, "connected");
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct check *check = arg;
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	tcp_end(check, error);
}

static void tcp_look(struct check *check)
{
	struct tcp_probe *probe = check->probe;
	struct pollfd polled;

	if (check->light) {
		syn_look(check->probe, check->timer.due_us);
		return;
	}
	polled = (struct pollfd){.fd = probe->fd, .events = POLLOUT};
	if (poll(&polled, 1, 0) > 0)
		on_writable(probe->fd, EV_WRITE, check);
}

static int begin(int fd, const struct check_target *target)
{
	struct sockaddr_storage to;
	socklen_t len = ip_sockaddr(target->address, target->port, &to);

	return connect(fd, (struct sockaddr *)&to, len) == 0 || errno == EINPROGRESS ? 0 : -errno;
}

/* A socket on its way to the target, or -errno. */
static int tcp_connect(struct check *check, uint64_t netns_id)
{
	const struct registry_sink *sink = check->all->sink;
	static const struct linger reset = {.l_onoff = 1};
	int fd = netns_id ? check_pool_take(&check->all->pool, netns_id) : -1;
	int rc;

	if (fd >= 0) {
		if (begin(fd, &check->target) == 0)
			return fd;
		close(fd); /* what a new one says counts */
	}
	fd = sink->socket(sink->ctx, check_network(check), ip_family(check->target.address), SOCK_STREAM);
	if (fd < 0)
		return fd;
	rc = setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0 ? 0 : -errno;
	if (rc == 0)
		rc = begin(fd, &check->target);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

/* In the host's own namespace a raw socket would be shown every segment of the host's connections. */
static bool is_inside(const struct check *check, uint64_t netns_id)
{
	const struct registry_sink *sink = check->all->sink;
	struct ip_addr address = check->target.address;

	return netns_id && netns_id != sink->netns_id(sink->ctx, "") && ip_is_unicast(address) &&
	       !ip_is_loopback(address);
}

static void tcp_start(struct check *check)
{
	const struct registry_sink *sink = check->all->sink;
	uint64_t netns_id = 0; /* of IPv6: half a handshake and the sockets of the pool are IPv4's */
	struct tcp_probe *probe;
	int fd;

	if (sink->netns_id && ip_is4(check->target.address))
		netns_id = sink->netns_id(sink->ctx, check_network(check));
	if (is_inside(check, netns_id) && start_syn(check, netns_id))
		return;
	probe = malloc(sizeof(*probe));
	fd = probe ? tcp_connect(check, netns_id) : -ENOMEM;
	if (fd < 0) {
		free(probe);
		tcp_end(check, -fd);
		return;
	}
	probe->fd = fd;
	probe->netns_id = netns_id;
	event_assign(&probe->writable, check->all->base, fd, EV_WRITE, on_writable, check);
	check->probe = probe;
	if (event_add(&probe->writable, NULL) < 0)
		tcp_end(check, ENOMEM);
}

const struct check_type check_tcp = {
	.name = "tcp",
	.aimed = true,
	.start = tcp_start,
	.look = tcp_look,
	.stop = tcp_stop,
	.link = check_follow_port,
};
