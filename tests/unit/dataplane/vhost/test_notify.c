/* How a guest is called, and that no fd of its own makes anybody wait. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

/* An fd that a write would wait for: blocking, and as full as an eventfd can be. */
static void a_full_call_fd_holds_nobody_up(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	struct guest g;
	uint64_t count;

	guest_boot(&g, 0);
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(
			read(g.call[k], &count, sizeof(count)), sizeof(count)); /* as the ring began */
		assert_int_equal(fcntl(g.call[k], F_SETFL, 0), 0);
		assert_int_equal(write(g.call[k], &full, sizeof(full)), sizeof(full));
	}
	for (unsigned i = 0; i < 10; i++)
		guest_expect_alive(&g, 0);
	assert_int_equal(read(g.call[1], &count, sizeof(count)), sizeof(count));
	assert_true(count >= full);
	guest_expect_alive(&g, 0);
	assert_int_equal(read(g.call[1], &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	guest_shut(&g);
}

static void a_full_call_socket_holds_nobody_up(void **state)
{
	uint64_t ring = 1, word = 0;
	struct guest g;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	guest_boot(&g, 0);
	say(g.fd, VHOST_SET_VRING_CALL, &ring, sizeof(ring), &pair[1], 1);
	while (send(pair[1], &word, sizeof(word), MSG_DONTWAIT) > 0)
		;
	for (unsigned i = 0; i < 10; i++)
		guest_expect_alive(&g, 0);
	close(pair[0]); /* and one that nobody reads raises no SIGPIPE */
	guest_expect_alive(&g, 0);
	guest_shut(&g);
	close(pair[1]);
}

/* As User-Mode Linux does it: rings call through a socket pair, and there is an fd for requests to the
 * front-end. */
static void called_through_a_socket(void **state)
{
	uint64_t ring = 1, called = 0;
	struct guest g;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	guest_boot(&g, 0);
	say(g.fd, VHOST_SET_BACKEND_REQ_FD, NULL, 0, pair, 1);
	say(g.fd, VHOST_SET_VRING_CALL, &ring, sizeof(ring), &pair[1], 1);
	guest_expect_alive(&g, 0);
	assert_int_equal(recv(pair[0], &called, sizeof(called), MSG_DONTWAIT), sizeof(called));
	assert_int_equal(called, 1);
	guest_shut(&g);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(a_full_call_fd_holds_nobody_up),
		T(a_full_call_socket_holds_nobody_up),
		T(called_through_a_socket),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}
