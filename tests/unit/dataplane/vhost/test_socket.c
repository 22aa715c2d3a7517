/* The port's socket: its file and the rights to it, and connections that the port makes itself. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/vhost/port.h"
#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

static void stale_socket_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct dp_err err;
	struct guest g;
	int fd;

	port_vhost_ops.close(&world->port[0]);
	strcpy(address.sun_path, world->path[0]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(world_open(0, false, 1, &err), -EADDRINUSE);
	assert_null(world->port[0].priv);
	close(fd); /* the file stays */
	assert_int_equal(world_open(0, false, 1, &err), 0);
	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
}

static void paths_that_cannot_be(void **state)
{
	char kept[64], path[120];
	struct dp_err err;
	int fd;

	port_vhost_ops.close(&world->port[0]);
	strcpy(kept, world->path[0]);
	fd = open(kept, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(world_open(0, false, 1, &err), -EEXIST);
	close(fd);
	unlink(kept);
	snprintf(world->path[0], sizeof(world->path[0]), "%s/none/0.sock", world_dir);
	assert_int_equal(world_open(0, false, 1, &err), -ENOENT);
	strcpy(world->path[0], kept);
	assert_int_equal(world_open(0, false, 9, &err), -EINVAL);
	assert_int_equal(world_open(0, false, 0, &err), -EINVAL);
	memset(path, 'x', sizeof(path));
	path[108] = 0;
	world->port[0].spec = (struct dp_port){.socket = path, .queues = 1};
	assert_int_equal(port_vhost_ops.open(&world->port[0], &err), -ENAMETOOLONG);
	assert_string_equal(err.text, "socket: 108 bytes, and a socket's path has at most 107");
	world->port[0].spec = (struct dp_port){.socket = kept, .queues = 1, .owner = "no-such-user-here"};
	assert_int_equal(port_vhost_ops.open(&world->port[0], &err), -EINVAL);
	assert_string_equal(err.text, "owner: there is no user no-such-user-here");
	world->port[0].spec = (struct dp_port){.socket = kept, .queues = 1, .owner = "12abc"};
	assert_int_equal(port_vhost_ops.open(&world->port[0], &err), -EINVAL);
	world->port[0].spec = (struct dp_port){.socket = kept, .queues = 1, .group = "4294967296"};
	assert_int_equal(port_vhost_ops.open(&world->port[0], &err), -EINVAL);
	assert_string_equal(err.text, "group: there is no group 4294967296");
	assert_int_equal(access(kept, F_OK), -1);
}

static void owner_and_mode(void **state)
{
	char path[64];
	struct stat st;

	if (geteuid() != 0)
		skip();
	port_vhost_ops.close(&world->port[0]);
	strcpy(path, world->path[0]);
	world->port[0].spec = (struct dp_port){
		.socket = path, .queues = 1, .owner = "65534", .group = "daemon", .socket_mode = 0642};
	assert_int_equal(port_vhost_ops.open(&world->port[0], NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 1);
	assert_int_equal(st.st_mode & 0777, 0642);
	port_vhost_ops.close(&world->port[0]);
}

/* Milliseconds of the timer that port 0 waits for, 0 when it waits for none. */
static unsigned waits_ms(void)
{
	for (unsigned i = 0; i < LOOP_MAX; i++)
		if (world->loop.item[i].used && world->loop.item[i].fd < 0)
			return world->loop.item[i].ms;
	return 0;
}

/* A peer that takes connections and hangs up without a word is met less and less often. */
static void client_tires_of_a_peer_that_hangs_up(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	unsigned met = 0;

	port_vhost_ops.close(&world->port[0]);
	strcpy(address.sun_path, world->path[0]);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(world_open(0, true, 1, NULL), 0);
	while (waits_ms() != 1000 && met < 1000) {
		int fd = accept(listener, NULL, NULL);

		met += fd >= 0;
		if (fd >= 0)
			close(fd);
		loop_turn(&world->loop, 20);
	}
	assert_in_range(met, 50, 200);
	close(listener);
	unlink(world->path[0]);
}

static void client_connects_when_somebody_listens(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener;

	port_vhost_ops.close(&world->port[0]);
	assert_int_equal(world_open(0, true, 1, NULL), 0);
	strcpy(address.sun_path, world->path[0]);
	for (unsigned round = 0; round < 2; round++) {
		int fd = -1;

		listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(listen(listener, 1), 0);
		for (unsigned i = 0; i < 1000 && fd < 0; i++) {
			loop_turn(&world->loop, 20);
			fd = accept(listener, NULL, NULL);
		}
		assert_true(fd >= 0);
		fcntl(fd, F_SETFL, 0);
		assert_true(ask(fd, VHOST_GET_FEATURES) & GUEST_FEATURES);
		close(fd);
		close(listener);
		unlink(world->path[0]);
		world_turns(2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(stale_socket_is_replaced),
		T(paths_that_cannot_be),
		T(owner_and_mode),
		T(client_tires_of_a_peer_that_hangs_up),
		T(client_connects_when_somebody_listens),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}
