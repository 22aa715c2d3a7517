/* A guest's memory: its regions, and what they are when the file behind them is cut. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

static void memory_in_slots(void **state)
{
	struct vhost_wire_slot slot = {
		.region = {GUEST_GPA + GUEST_MEM, GUEST_MEM, GUEST_UVA + GUEST_MEM, 0}};
	struct guest g;

	guest_boot(&g, 0);
	for (unsigned i = 0; i < 20; i++) {
		slot.region.gpa = GUEST_GPA + (uint64_t)GUEST_MEM * (i + 1);
		slot.region.uva = GUEST_UVA + (uint64_t)GUEST_MEM * (i + 1);
		say(g.fd, VHOST_ADD_MEM_REG, &slot, sizeof(slot), &g.memfd, 1);
		say(g.fd, VHOST_ADD_MEM_REG, &slot, sizeof(slot), &g.memfd, 1); /* once for each queue pair */
	}
	assert_int_equal(world_dev(0)->mem.count, 21);
	guest_expect_alive(&g, 0);
	say(g.fd, VHOST_REM_MEM_REG, &slot, sizeof(slot), &g.memfd, 1); /* with an fd, as old front-ends do */
	slot.region.gpa -= GUEST_MEM;
	slot.region.uva -= GUEST_MEM;
	say(g.fd, VHOST_REM_MEM_REG, &slot, sizeof(slot), NULL, 0);
	assert_int_equal(world_dev(0)->mem.count, 19);
	say_flags(g.fd, VHOST_REM_MEM_REG, VHOST_VERSION | VHOST_NEED_REPLY, &slot, sizeof(slot), NULL, 0);
	assert_int_equal(hear(g.fd, VHOST_REM_MEM_REG), 1);
	assert_int_equal(world_dev(0)->mem.count, 19);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
}

/* One region of `size` bytes of a sparse file, whose pages are never touched. */
static int say_sparse(int fd, int memfd, uint64_t size, uint64_t at)
{
	struct vhost_wire_slot slot = {.region = {GUEST_GPA + at, size, GUEST_UVA + at, 0}};

	say(fd, VHOST_ADD_MEM_REG, &slot, sizeof(slot), &memfd, 1);
	return hung_up(fd);
}

static void memory_up_to_the_limit_and_no_more(void **state)
{
	const uint64_t limit = UINT64_C(3) << 20;
	int memfd = memfd_create("guest", MFD_CLOEXEC), fd;

	assert_int_equal(ftruncate(memfd, (off_t)1 << 46), 0);
	world->port[0].spec.memory_mb = 3;
	fd = guest_join(0);
	assert_false(say_sparse(fd, memfd, limit - 4096, 0));
	assert_false(say_sparse(fd, memfd, 4096, limit));
	assert_int_equal(world->port[0].guest.memory, limit);
	assert_int_equal(world->port[0].guest.faults, 0);
	assert_true(say_sparse(fd, memfd, 1, limit + 4096));
	assert_int_equal(world->port[0].guest.faults, 1);
	assert_string_equal(world->port[0].guest.last_end, "ADD_MEM_REG: more memory than memory_mb allows");
	assert_int_equal(world->port[0].guest.memory, 0);
	guest_leave(fd);
	fd = guest_join(0);
	guest_say_memory(fd, memfd, limit + 1);
	assert_true(hung_up(fd));
	assert_int_equal(world->port[0].guest.faults, 2);
	guest_leave(fd);
	close(memfd);
}

/* Unless it is told otherwise a port takes what real guests have, and not 64 TB of nothing. */
static void memory_by_default(void **state)
{
	int memfd = memfd_create("guest", MFD_CLOEXEC), fd = guest_join(0);

	assert_int_equal(ftruncate(memfd, (off_t)1 << 46), 0);
	assert_true(vhost_mem_limit(0) >= UINT64_C(64) << 30);
	assert_int_equal(vhost_mem_limit(1), 1 << 20);
	assert_true(say_sparse(fd, memfd, UINT64_C(1) << 46, 0));
	assert_int_equal(world->port[0].guest.faults, 1);
	guest_leave(fd);
	close(memfd);
}

static struct sigaction guard_action;

/* The file is cut after it was checked: the daemon lives, this port goes down, the other works on. */
static void truncated_memory(void **state)
{
	struct guest g, other;

	sigaction(SIGBUS, &guard_action, NULL); /* cmocka puts its own in place for each test */
	guest_boot(&g, 0);
	guest_boot(&other, 1);
	guest_expect_alive(&g, 0);
	guest_sends(&g, 100);
	assert_int_equal(ftruncate(g.memfd, 0), 0);
	world_poll(0, 0);
	assert_true(atomic_load(&world_dev(0)->broken));
	guest_expect_alive(&other, 1);
	world_turns(2);
	assert_false(world_up(0));
	assert_true(hung_up(g.fd));
	guest_expect_alive(&other, 1);
	guest_shut(&other);
	guest_leave(g.fd);
	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
}

/* A sealed file cannot be cut at all. */
static void memory_is_sealed_where_it_can_be(void **state)
{
	int fd = guest_join(0), memfd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(memfd, GUEST_MEM), 0);
	guest_say_memory(fd, memfd, GUEST_MEM);
	assert_int_equal(ftruncate(memfd, 0), -1);
	assert_int_equal(errno, EPERM);
	close(memfd);
	guest_leave(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(memory_in_slots),
		T(memory_up_to_the_limit_and_no_more),
		T(memory_by_default),
		T(truncated_memory),
		T(memory_is_sealed_where_it_can_be),
	};
	static char page[4096];

	vhost_guard_clear(vhost_guard_set(page, sizeof(page), &(struct vhost_guard){.event_fd = -1}));
	sigaction(SIGBUS, NULL, &guard_action);
	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}
