/*
 * Namespaces, rtnetlink and TAP interfaces, on the kernel itself but in network and mount namespaces of the
 * test's own, so the host never sees any of it. Needs root and /dev/net/tun.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/host/netlink.h"
#include "control/host/netns.h"
#include "control/host/tap.h"
#include "tests/unit/unit.h"

static ino_t current_ns(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/thread-self/ns/net", &st), 0);
	return st.st_ino;
}

static ino_t ns_inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* Gives namespace `fd` a name as `ip netns` would. */
static void name_ns(const char *name, int fd)
{
	char path[64], from[64];
	int file;

	snprintf(path, sizeof(path), "/var/run/netns/%s", name);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	file = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	close(file);
	assert_int_equal(mount(from, path, "none", MS_BIND, NULL), 0);
}

static void unname_ns(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/var/run/netns/%s", name);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	assert_int_equal(unlink(path), 0);
}

static unsigned index_in(int netns, const char *ifname)
{
	int back = netns_enter(netns);
	unsigned index;

	assert_true(back >= 0);
	index = if_nametoindex(ifname);
	netns_leave(back);
	return index;
}

static void close_fds(const int *fds, unsigned n)
{
	while (n > 0)
		close(fds[--n]);
}

static void enters_and_returns(void **state)
{
	ino_t home = current_ns();
	int fd = netns_new(), back;

	assert_true(fd >= 0);
	assert_int_equal(current_ns(), home);
	assert_int_not_equal(ns_inode(fd), home);
	back = netns_enter(fd);
	assert_true(back >= 0);
	assert_int_equal(current_ns(), ns_inode(fd));
	netns_leave(back);
	assert_int_equal(current_ns(), home);
	close(fd);
}

static void opens_by_name_and_by_path(void **state)
{
	int fd = netns_new(), again;

	assert_true(fd >= 0);
	name_ns("c1", fd);
	again = netns_open("c1");
	assert_true(again >= 0);
	assert_int_equal(ns_inode(again), ns_inode(fd));
	close(again);
	again = netns_open("/var/run/netns/c1");
	assert_true(again >= 0);
	assert_int_equal(ns_inode(again), ns_inode(fd));
	close(again);
	unname_ns("c1");
	close(fd);
}

static void refuses_what_is_no_namespace(void **state)
{
	assert_int_equal(netns_open("c9"), -ENOENT);
	assert_int_equal(netns_open(""), -ENOENT);
	assert_int_equal(netns_open(".."), -ENOENT);
	assert_int_equal(netns_open("../../etc/passwd"), -ENOENT);
	assert_int_equal(netns_open("/no/such/file"), -ENOENT);
	assert_int_equal(netns_open("/etc/passwd"), -EINVAL);
	assert_int_equal(netns_open("/proc/self/ns/mnt"), -EINVAL);
}

static void socket_belongs_to_its_namespace(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int ns = netns_new(), here = socket(AF_INET, SOCK_DGRAM, 0), there;

	/* the same port twice: each namespace has its own */
	there = netns_socket(ns, AF_INET, SOCK_DGRAM, 0);
	assert_true(there >= 0);
	assert_int_equal(bind(here, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(here, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(bind(there, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(fcntl(there, F_GETFL) & O_NONBLOCK);
	close(here);
	close(there);
	close(ns);
}

static void tap_here(void **state)
{
	struct tap_spec spec = {.ifname = "sl-test", .netns = -1, .scratch_netns = -1, .queues = 1};
	int fds[TAP_QUEUES_MAX], again[TAP_QUEUES_MAX];

	assert_int_equal(tap_open(&spec, fds), 0);
	assert_true(if_nametoindex("sl-test") > 0);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(tap_open(&spec, again), -EEXIST);
	close_fds(fds, 1);
	assert_int_equal(if_nametoindex("sl-test"), 0);
}

static void tap_refuses_bad_names(void **state)
{
	struct tap_spec spec = {.netns = -1, .scratch_netns = -1, .queues = 1};
	static const char *const bad[] = {"", "0123456789abcdef", "tap%d", "a/b", ".."};
	int fds[TAP_QUEUES_MAX];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spec.ifname = bad[i];
		assert_int_equal(tap_open(&spec, fds), -EINVAL);
	}
	spec.ifname = "lo";
	assert_int_equal(tap_open(&spec, fds), -EEXIST);
}

static void tap_in_a_container_is_configured(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x11};
	const uint32_t address = inet_addr("10.1.0.12"), gateway = inet_addr("10.1.0.1");
	int ns = netns_new(), scratch_netns = netns_new();
	struct tap_spec spec = {.ifname = "eth0", .netns = ns, .scratch_netns = scratch_netns, .queues = 4};
	struct netlink_link change = {.mac = mac, .mtu = 1400, .up = true};
	int fds[TAP_QUEUES_MAX], index;
	struct netlink *nl;

	assert_int_equal(tap_open(&spec, fds), 0);
	assert_true(index_in(ns, "eth0") > 0);
	assert_int_equal(index_in(scratch_netns, "tap0"), 0);
	assert_int_equal(if_nametoindex("eth0"), 0);

	assert_int_equal(netlink_open(ns, &nl), 0);
	assert_int_equal(netlink_index(nl, "eth9"), -ENODEV);
	index = netlink_index(nl, "eth0");
	assert_true(index > 0);
	assert_int_equal(netlink_link_set(nl, index, &change), 0);
	assert_int_equal(netlink_addr_add(nl, index, ip_from4(address), 24), 0);
	assert_int_equal(netlink_addr_add(nl, index, ip_from4(address), 24), -EEXIST);
	assert_int_equal(netlink_default_route(nl, index, ip_from4(inet_addr("172.16.0.1"))), -ENETUNREACH);
	assert_int_equal(netlink_default_route(nl, index, ip_from4(gateway)), 0);
	assert_int_equal(netlink_default_route(nl, index, ip_from4(gateway)), -EEXIST);
	assert_int_equal(netlink_addr_del(nl, index, ip_from4(address), 24), 0);
	assert_int_equal(netlink_addr_del(nl, index, ip_from4(address), 24), -EADDRNOTAVAIL);
	netlink_close(nl);
	close_fds(fds, 4);
	assert_int_equal(index_in(ns, "eth0"), 0);
	close(ns);
	close(scratch_netns);
}

static void name_taken_in_the_container(void **state)
{
	int ns = netns_new(), scratch_netns = netns_new();
	struct tap_spec spec = {.ifname = "lo", .netns = ns, .scratch_netns = scratch_netns, .queues = 1};
	int fds[TAP_QUEUES_MAX];

	assert_int_equal(tap_open(&spec, fds), -EEXIST);
	assert_int_equal(index_in(scratch_netns, "tap0"), 0);
	close(ns);
	close(scratch_netns);
}

static void tap_goes_with_its_container(void **state)
{
	int ns = netns_new(), scratch_netns = netns_new();
	struct tap_spec spec = {.ifname = "eth0", .netns = ns, .scratch_netns = scratch_netns, .queues = 1};
	struct pollfd poller = {.events = POLLIN};
	int fds[TAP_QUEUES_MAX];
	char byte;

	assert_int_equal(tap_open(&spec, fds), 0);
	close(ns);
	poller.fd = fds[0];
	/* the kernel takes a namespace apart in the background: this waits for it, however long it takes */
	assert_int_equal(poll(&poller, 1, -1), 1);
	assert_true(poller.revents & POLLERR);
	assert_int_equal(read(fds[0], &byte, 1), -1);
	assert_int_equal(errno, EBADFD);
	close_fds(fds, 1);
	close(scratch_netns);
}

/* Private network and mount namespaces, with an empty /run to keep namespace names in. */
static void isolate(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
		access("/dev/net/tun", R_OK | W_OK) < 0) {
		puts("skipped: needs root and /dev/net/tun");
		exit(EXIT_SKIPPED);
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("run", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/netns", 0755) < 0) {
		perror("isolate");
		exit(EXIT_FAILURE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enters_and_returns),
		cmocka_unit_test(opens_by_name_and_by_path),
		cmocka_unit_test(refuses_what_is_no_namespace),
		cmocka_unit_test(socket_belongs_to_its_namespace),
		cmocka_unit_test(tap_here),
		cmocka_unit_test(tap_refuses_bad_names),
		cmocka_unit_test(tap_in_a_container_is_configured),
		cmocka_unit_test(name_taken_in_the_container),
		cmocka_unit_test(tap_goes_with_its_container),
	};

	isolate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
