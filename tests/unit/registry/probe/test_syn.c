/* Half-open probes on the loopback of a namespace of this test's own: a target in, a result out, and no check anywhere. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registry/probe/syn.h"
#include "tests/unit/unit.h"

enum { NETNS = 7, PENDING = -1000, PROBES = 200 };

struct world {
	struct event_base *base;
	struct wheel wheel;
	struct registry_sink sink;
	struct syn syn;
	int listener;
	uint16_t open, closed; /* ports: somebody listens there, nobody does */
	int socket_error;      /* what the sink's sockets fail with, 0: real ones */
	unsigned ended;
};

struct asked {
	struct world *w;
	int result;
};

static int on_socket(void *ctx, const char *network, int domain, int type)
{
	const struct world *w = ctx;
	int fd;

	assert_string_equal(network, "web");
	if (w->socket_error)
		return -w->socket_error;
	fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, type == SOCK_RAW ? IPPROTO_TCP : 0);
	return fd < 0 ? -errno : fd;
}

static void on_log(void *ctx, int level, const char *about, const char *line) {}

static uint16_t bound_port(int fd)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	return ntohs(at.sin_port);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int free_one = socket(AF_INET, SOCK_STREAM, 0);

	w->base = event_base_new();
	w->sink = (struct registry_sink){.ctx = w, .socket = on_socket, .log = on_log};
	assert_int_equal(wheel_init(&w->wheel, w->base), 0);
	syn_init(&w->syn, w->base, &w->wheel, &w->sink);
	w->listener = socket(AF_INET, SOCK_STREAM, 0);
	w->open = bound_port(w->listener);
	assert_int_equal(listen(w->listener, PROBES), 0);
	w->closed = bound_port(free_one);
	close(free_one);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	syn_close(&w->syn);
	wheel_close(&w->wheel);
	event_base_free(w->base);
	close(w->listener);
	free(w);
	return 0;
}

static void on_done(void *arg, int result)
{
	struct asked *asked = arg;

	assert_int_equal(asked->result, PENDING); /* once */
	asked->result = result;
	asked->w->ended++;
}

static int start(struct world *w, uint16_t port, struct asked *asked, struct syn_probe **probe)
{
	const struct syn_target target = {.network = "web",
		.netns_id = NETNS,
		.address = htonl(INADDR_LOOPBACK),
		.port = port,
		.timeout_ms = 60000};

	*asked = (struct asked){.w = w, .result = PENDING};
	return syn_start(&w->syn, &target, on_done, asked, probe);
}

/* Turns the loop until so many have ended. */
static void until_ended(struct world *w, unsigned count)
{
	while (w->ended < count)
		assert_int_equal(event_base_loop(w->base, EVLOOP_ONCE), 0);
}

static void an_open_port_is_told_from_a_closed_one(void **state)
{
	struct asked open, closed;
	struct world *w = *state;
	struct syn_probe *probe;

	assert_int_equal(start(w, w->open, &open, &probe), 0);
	assert_int_equal(start(w, w->closed, &closed, &probe), 0);
	assert_int_equal(w->ended, 0); /* not from inside the call */
	until_ended(w, 2);
	assert_int_equal(open.result, SYN_OPEN);
	assert_int_equal(closed.result, ECONNREFUSED);
}

static void each_of_many_probes_ends_once(void **state)
{
	static struct asked asked[PROBES];
	struct world *w = *state;
	struct syn_probe *probe;

	for (unsigned i = 0; i < PROBES; i++)
		assert_int_equal(start(w, i % 2 ? w->open : w->closed, &asked[i], &probe), 0);
	until_ended(w, PROBES);
	for (unsigned i = 0; i < PROBES; i++)
		assert_int_equal(asked[i].result, i % 2 ? SYN_OPEN : ECONNREFUSED);
}

static void a_stopped_probe_ends_without_a_call(void **state)
{
	struct syn_probe *probe, *stopped;
	struct asked asked, other;
	struct world *w = *state;

	assert_int_equal(start(w, w->open, &asked, &stopped), 0);
	assert_int_equal(start(w, w->open, &other, &probe), 0);
	syn_stop(stopped);
	until_ended(w, 1);
	assert_int_equal(other.result, SYN_OPEN);
	assert_int_equal(asked.result, PENDING);
}

static void an_answer_that_was_not_read_yet_counts_when_looked_for(void **state)
{
	struct world *w = *state;
	struct syn_probe *probe;
	struct asked asked;

	assert_int_equal(start(w, w->open, &asked, &probe), 0);
	event_base_loop(w->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* sends it; the loopback answers at once */
	if (asked.result == PENDING)
		syn_look(probe, wheel_now_us() + 1000000);
	assert_int_equal(asked.result, SYN_OPEN);
}

static void without_sockets_a_whole_handshake_has_to_do(void **state)
{
	struct world *w = *state;
	struct syn_probe *probe;
	struct asked asked;

	w->socket_error = EMFILE;
	assert_int_equal(start(w, w->open, &asked, &probe), -ENOTSUP);
	w->socket_error = 0;
	assert_int_equal(
		start(w, w->open, &asked, &probe), 0); /* that target's address was not found: tried anew */
	until_ended(w, 1);
	assert_int_equal(asked.result, SYN_OPEN);
}

static int raise_loopback(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), rc = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &lo);

	close(fd);
	return rc;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_open_port_is_told_from_a_closed_one),
		TEST(each_of_many_probes_ends_once),
		TEST(a_stopped_probe_ends_without_a_call),
		TEST(an_answer_that_was_not_read_yet_counts_when_looked_for),
		TEST(without_sockets_a_whole_handshake_has_to_do),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || raise_loopback() < 0) {
		puts("skipped: no network namespace can be made here");
		return EXIT_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
