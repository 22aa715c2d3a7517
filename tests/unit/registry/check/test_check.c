/*
 * Checks against real listeners on the loopback: one that accepts, one that refuses, one whose backlog is
 * full and that says nothing.
 */
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registry/check/check.h"
#include "tests/unit/registry/world.h"

/* A listening socket; *port 0: a free one, which it gets. */
static int listener(const char *address, uint16_t *port, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = ip_to4(ip(address))};
	socklen_t size = sizeof(at);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* Fills a listener's backlog, so that further connections hang: the kernel drops their SYNs. */
enum { FILLERS = 4 };
static void fill(uint16_t port, int fillers[FILLERS])
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = ip_to4(ip("127.0.0.1"))};

	for (int i = 0; i < FILLERS; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(fillers[i] >= 0);
		(void)connect(fillers[i], (struct sockaddr *)&to, sizeof(to));
	}
}

static const char *id_of(uint16_t port)
{
	static char text[32];

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	return text;
}

static struct reg_service lo_service(const struct reg_check *check)
{
	struct reg_service service = {.name = "api", .network = "lo", .source = "api", .check = *check};

	return service;
}

static void add_checked(struct world *w, const struct reg_check *check, uint16_t port)
{
	struct reg_service service = lo_service(check);

	world_add_service(w, &service);
	world_add_backend(w, "api", "127.0.0.1", port);
}

static void critical_until_the_first_success(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 16);

	add_checked(w, &check, port);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_CRITICAL);
	assert_string_equal(world_find(w, "api", id_of(port))->output, "no result yet");
	assert_int_equal(w->sockets, 0); /* nothing happens inside the call */
	world_until(w, "api", id_of(port), REG_PASSING);
	assert_string_equal(world_find(w, "api", id_of(port))->output, "connected");
	assert_string_equal(w->socket_network, "lo");
	assert_int_equal(registry_generation(w->reg), 3);
	close(fd);
	world_until(w, "api", id_of(port), REG_CRITICAL);
	assert_string_equal(world_find(w, "api", id_of(port))->output, "Connection refused");
	fd = listener("127.0.0.1", &port, 16);
	world_until(w, "api", id_of(port), REG_PASSING);
	assert_int_equal(registry_generation(w->reg), 5);
	close(fd);
}

static void rise_and_fall_count_in_a_row(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	unsigned before;
	int fd = listener("127.0.0.1", &port, 64);

	check.rise = 3;
	check.fall = 2;
	add_checked(w, &check, port);
	world_until(w, "api", id_of(port), REG_PASSING);
	assert_int_equal(w->sockets, 3);
	close(fd);
	world_until_count(w, &w->sockets, 4);
	before = w->sockets;
	world_until(w, "api", id_of(port), REG_CRITICAL);
	assert_int_equal(w->sockets, before + 1);
}

static void a_full_backlog_times_out(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 0), fillers[FILLERS];

	fill(port, fillers);
	check.timeout_ms = 30;
	check.fall = 1;
	add_checked(w, &check, port);
	world_until_count(w, &w->sockets, 2); /* the first one has ended */
	assert_string_equal(world_find(w, "api", id_of(port))->output, "timed out after 30 ms");
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_CRITICAL);
	for (int i = 0; i < FILLERS; i++)
		close(fillers[i]);
	close(fd);
}

static void no_socket_left_says_nothing_of_the_backend(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 16);

	add_checked(w, &check, port);
	world_until(w, "api", id_of(port), REG_PASSING);
	w->socket_error = EMFILE;
	world_until_count(w, &w->sockets, w->sockets + 3);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_PASSING);
	assert_string_equal(world_find(w, "api", id_of(port))->output, "Too many open files");
	w->socket_error = ENETUNREACH; /* a way there is missing: that counts */
	world_until(w, "api", id_of(port), REG_CRITICAL);
	close(fd);
}

/* Connections that this side ended in the given state (/proc/net/tcp: hexadecimal), to port `port`. */
static unsigned in_state(uint16_t port, unsigned state)
{
	FILE *f = fopen("/proc/net/tcp", "r");
	unsigned count = 0, remote, st;
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %*8x:%*4x %*8x:%4x %2x", &remote, &st) == 2 && remote == port &&
			st == state)
			count++;
	fclose(f);
	return count;
}

static void probes_leave_no_connection_behind(void **state)
{
	enum { TIME_WAIT = 6, ESTABLISHED = 1 };
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 64);

	add_checked(w, &check, port);
	world_until_count(w, &w->sockets, 5);
	assert_int_equal(registry_backend_del(w->reg, "api", id_of(port), &w->err), 0);
	assert_int_equal(in_state(port, TIME_WAIT), 0);
	assert_int_equal(in_state(port, ESTABLISHED), 0);
	close(fd);
}

static void until_passed(struct world *w, uint64_t more)
{
	uint64_t enough = registry_checks_info(w->reg).results[0] + more;

	while (registry_checks_info(w->reg).results[0] < enough)
		assert_int_equal(event_base_loop(w->base, EVLOOP_ONCE), 0);
}

static void a_socket_is_used_again_while_its_place_stays(void **state)
{
	enum { TIME_WAIT = 6, ESTABLISHED = 1, NETNS = 7 };
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 64);

	w->netns_id = NETNS;
	add_checked(w, &check, port);
	until_passed(w, 10);
	assert_int_equal(w->sockets, 1);
	assert_int_equal(in_state(port, TIME_WAIT) + in_state(port, ESTABLISHED), 0);
	w->netns_id++; /* another gateway: what was made for the old one is of no use */
	until_passed(w, 10);
	assert_int_equal(w->sockets, 2);
	close(fd);
	world_until(w, "api", id_of(port), REG_CRITICAL);
	assert_string_equal(world_find(w, "api", id_of(port))->output, "Connection refused");
	fd = listener("127.0.0.1", &port, 64);
	world_until(w, "api", id_of(port), REG_PASSING);
	close(fd);
}

static void no_probe_while_the_port_is_down(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 64);
	unsigned before;

	world_port(w, "lo", "127.0.0.1", 1);
	add_checked(w, &check, port);
	world_until(w, "api", id_of(port), REG_PASSING);
	world_port_changed(w, "lo", "127.0.0.1", 0);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_CRITICAL);
	before = w->sockets;
	for (int i = 0; i < 10; i++) /* nothing is pending: returns at once */
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_int_equal(event_base_get_num_events(w->base, EVENT_BASE_COUNT_ADDED), 0);
	assert_int_equal(w->sockets, before);
	world_port_changed(w, "lo", "127.0.0.1", 1);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_CRITICAL); /* must prove itself */
	world_until(w, "api", id_of(port), REG_PASSING);
	close(fd);
}

static void a_backend_may_have_its_own_check(void **state)
{
	struct world *w = *state;
	struct reg_check tcp = world_check(REG_CHECK_TCP);
	struct reg_service service = lo_service(&tcp);
	struct reg_backend backend = world_backend("127.0.0.1", 1);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 64);

	world_add_service(w, &service);
	backend.own_checks = true; /* none at all */
	assert_int_equal(registry_backend_add(w->reg, "api", &backend, &w->err), 0);
	assert_int_equal(world_find(w, "api", "127.0.0.1:1")->health, REG_PASSING);
	backend.own_checks = false; /* the service's: nothing listens there */
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	assert_int_equal(world_find(w, "api", "127.0.0.1:1")->health, REG_CRITICAL);
	world_until_count(w, &w->sockets, 2);
	assert_string_equal(world_find(w, "api", "127.0.0.1:1")->output, "Connection refused");
	close(fd);
}

static void a_changed_check_keeps_what_it_found(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	struct reg_service service = lo_service(&check);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 64);

	add_checked(w, &check, port);
	world_until(w, "api", id_of(port), REG_PASSING);
	service.check.interval_ms = 3600000;
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_PASSING);
	service.network[0] = '\0'; /* another place: it must be found anew */
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_CRITICAL);
	world_until(w, "api", id_of(port), REG_PASSING);
	assert_string_equal(w->socket_network, "");
	service.check.type = REG_CHECK_NONE;
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	service.check = check; /* a new one */
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(world_find(w, "api", id_of(port))->health, REG_CRITICAL);
	close(fd);
}

/*
 * Two thousand that hang: never more than CHECKS_RUNNING sockets at once, and those behind them get their
 * turn. The kernel hands out the lowest free number, so the highest tells how many were open.
 */
static void probes_at_once_are_bounded(void **state)
{
	enum { MANY = 2000, INHERITED = 16 };
	struct world *w = *state;
	struct rlimit files = {.rlim_cur = MANY + 100, .rlim_max = MANY + 100};
	struct reg_check check = world_check(REG_CHECK_TCP);
	struct reg_service service = lo_service(&check);
	struct reg_backend backend = world_backend("127.0.0.1", 0);
	int fd = listener("0.0.0.0", &backend.port, 0), fillers[FILLERS];

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		skip();
	fill(backend.port, fillers);
	service.check.timeout_ms = 200;
	service.check.interval_ms = 3600000;
	registry_batch_begin(w->reg);
	world_add_service(w, &service);
	for (unsigned i = 0; i < MANY; i++) {
		backend.address = ip_from4(htonl(0x7f000001 + i));
		assert_int_equal(registry_backend_add(w->reg, "api", &backend, &w->err), 0);
	}
	registry_batch_end(w->reg);
	world_until_count(w, &w->sockets, MANY);
	assert_in_range(w->highest_fd - fillers[FILLERS - 1], CHECKS_RUNNING / 2, CHECKS_RUNNING + INHERITED);
	for (int i = 0; i < FILLERS; i++)
		close(fillers[i]);
	close(fd);
}

static void a_check_that_goes_mid_probe(void **state)
{
	struct world *w = *state;
	struct reg_check check = world_check(REG_CHECK_TCP);
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 0), fillers[FILLERS];

	fill(port, fillers);
	add_checked(w, &check, port);
	world_until_count(w, &w->sockets, 1);
	assert_true(event_base_get_num_events(w->base, EVENT_BASE_COUNT_ADDED) > 0);
	assert_int_equal(registry_service_del(w->reg, "api", &w->err), 0);
	assert_int_equal(event_base_get_num_events(w->base, EVENT_BASE_COUNT_ADDED), 0);
	for (int i = 0; i < FILLERS; i++)
		close(fillers[i]);
	close(fd);
}

static void turns_are_spread_and_stay_in_step(void **state)
{
	const struct {
		uint64_t now, interval, phase, next;
	} cases[] = {
		{0, 1000, 0, 1000}, {0, 1000, 1, 1}, {1, 1000, 1, 1001}, {999, 1000, 1, 1001},
		{5400, 1000, 250, 6250}, {5100, 1000, 250, 5250},
		{5100, 1000, 7000250, 5250}, /* any hash will do */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			check_next_turn(cases[i].now, cases[i].interval, cases[i].phase), cases[i].next);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(critical_until_the_first_success),
		TEST(rise_and_fall_count_in_a_row),
		TEST(a_full_backlog_times_out),
		TEST(no_socket_left_says_nothing_of_the_backend),
		TEST(probes_leave_no_connection_behind),
		TEST(a_socket_is_used_again_while_its_place_stays),
		TEST(no_probe_while_the_port_is_down),
		TEST(a_backend_may_have_its_own_check),
		TEST(a_changed_check_keeps_what_it_found),
		TEST(probes_at_once_are_bounded),
		TEST(a_check_that_goes_mid_probe),
		cmocka_unit_test(turns_are_spread_and_stay_in_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
