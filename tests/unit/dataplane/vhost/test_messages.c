/* Messages in pieces, messages that are wrong, and answers that nobody reads: the connection ends, no other does. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

/* Half a message, then silence, holds up nobody else; the rest, byte by byte, is understood. */
static void partial_message(void **state)
{
	struct vhost_header header = {VHOST_SET_PROTOCOL_FEATURES, VHOST_VERSION, 8};
	uint64_t value = 1 << VHOST_PROTO_REPLY_ACK;
	uint8_t bytes[sizeof(header) + sizeof(value)];
	struct guest other;
	int fd = guest_join(0);

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &value, sizeof(value));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(say_bytes(fd, bytes + i, 1, NULL, 0), 1);
		world_turns(1);
		if (i == 5 || i == 15) {
			guest_boot(&other, 1);
			guest_expect_alive(&other, 1);
			guest_shut(&other);
		}
	}
	assert_int_equal(world_dev(0)->proto_features, value);
	guest_leave(fd);
}

/* The fds come with the first byte, the payload long after. */
static void fds_of_a_message_in_pieces(void **state)
{
	struct vhost_wire_table table = {.count = 1, .region = {{GUEST_GPA, GUEST_MEM, GUEST_UVA, 0}}};
	struct vhost_header header = {
		VHOST_SET_MEM_TABLE, VHOST_VERSION, offsetof(struct vhost_wire_table, region[1])};
	int fd = guest_join(0), memfd = guest_memory(GUEST_MEM);

	assert_int_equal(say_bytes(fd, &header, 5, &memfd, 1), 5);
	world_turns(1);
	assert_int_equal(say_bytes(fd, (uint8_t *)&header + 5, 7, NULL, 0), 7);
	world_turns(1);
	assert_int_equal(say_bytes(fd, &table, header.size, NULL, 0), header.size);
	world_turns(1);
	assert_int_equal(world_dev(0)->mem.count, 1);
	close(memfd);
	guest_leave(fd);
}

/* Messages that end the connection. Every one is sent to a device that is set up and running. */
static int event_fd, mem_fd, small_fd, dev_null, pipe_end;

struct sample {
	const char *name;
	uint32_t request, flags, size;
	union vhost_payload payload;
	const int *fd;
	unsigned nfd;
};

#define SIZE(field) .size = sizeof(((union vhost_payload *)0)->field)
#define ONE_FD(fd_) .fd = &(fd_), .nfd = 1
static const struct sample samples[] = {
	{"request 0", .request = 0},
	{"unknown request", .request = 99},
	{"request not offered", 6, .size = 16},
	{"wrong version", VHOST_GET_FEATURES, .flags = 2},
	{"an answer", VHOST_GET_FEATURES, .flags = VHOST_VERSION | VHOST_REPLY},
	{"payload too long", VHOST_SET_FEATURES, .size = 9},
	{"payload too short", VHOST_SET_FEATURES, .size = 7},
	{"payload where none belongs", VHOST_GET_FEATURES, .size = 8},
	{"payload longer than any", VHOST_SET_MEM_TABLE, .size = 2000},
	{"features not offered", VHOST_SET_FEATURES, SIZE(u64), .payload.u64 = UINT64_C(1) << 34},
	{"protocol features not offered", VHOST_SET_PROTOCOL_FEATURES, SIZE(u64), .payload.u64 = 1 << 13},
	{"fd where none belongs", VHOST_SET_FEATURES, SIZE(u64), .payload.u64 = GUEST_FEATURES,
		ONE_FD(event_fd)},
	{"ring size 0", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {0, 0}},
	{"ring size 3", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {0, 3}},
	{"ring size 65536", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {0, 65536}},
	{"ring 4 of 4", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {4, 64}},
	{"ring 4 billion", VHOST_SET_VRING_BASE, SIZE(state), .payload.state = {UINT32_MAX, 0}},
	{"base above 65535", VHOST_SET_VRING_BASE, SIZE(state), .payload.state = {0, 65536}},
	{"base of no ring", VHOST_GET_VRING_BASE, SIZE(state), .payload.state = {200, 0}},
	{"enable with 2", VHOST_SET_VRING_ENABLE, SIZE(state), .payload.state = {0, 2}},
	{"enable no ring", VHOST_SET_VRING_ENABLE, SIZE(state), .payload.state = {4, 1}},
	{"unaligned ring", VHOST_SET_VRING_ADDR, SIZE(addr),
		.payload.addr = {0, 0, GUEST_UVA + 8, GUEST_UVA, GUEST_UVA, 0}},
	{"address of no ring", VHOST_SET_VRING_ADDR, SIZE(addr),
		.payload.addr = {9, 0, GUEST_UVA, GUEST_UVA, GUEST_UVA, 0}},
	{"kick without its fd", VHOST_SET_VRING_KICK, SIZE(u64), .payload.u64 = 0},
	{"kick with an fd it denies", VHOST_SET_VRING_KICK, SIZE(u64), .payload.u64 = VHOST_VRING_NO_FD,
		ONE_FD(event_fd)},
	{"kick of no ring", VHOST_SET_VRING_KICK, SIZE(u64), .payload.u64 = 4, ONE_FD(event_fd)},
	{"kick by a file", VHOST_SET_VRING_KICK, SIZE(u64), .payload.u64 = 0, ONE_FD(mem_fd)},
	{"call by a device", VHOST_SET_VRING_CALL, SIZE(u64), .payload.u64 = 0, ONE_FD(dev_null)},
	{"call by a pipe", VHOST_SET_VRING_CALL, SIZE(u64), .payload.u64 = 0, ONE_FD(pipe_end)},
	{"call of no ring", VHOST_SET_VRING_CALL, SIZE(u64), .payload.u64 = 4 | VHOST_VRING_NO_FD},
	{"error of no ring", VHOST_SET_VRING_ERR, SIZE(u64), .payload.u64 = 4 | VHOST_VRING_NO_FD},
	{"nine regions", VHOST_SET_MEM_TABLE, SIZE(table), .payload.table.count = 9},
	{"region without its fd", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GUEST_GPA, GUEST_MEM, GUEST_UVA, 0}}}},
	{"fd without its region", VHOST_SET_MEM_TABLE, .size = 8, ONE_FD(mem_fd)},
	{"half a region", VHOST_SET_MEM_TABLE, .size = 39,
		.payload.table = {1, 0, {{GUEST_GPA, GUEST_MEM, GUEST_UVA, 0}}}, ONE_FD(mem_fd)},
	{"empty region", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GUEST_GPA, 0, GUEST_UVA, 0}}}, ONE_FD(mem_fd)},
	{"region past its file", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GUEST_GPA, GUEST_MEM, GUEST_UVA, 0}}}, ONE_FD(small_fd)},
	{"offset past the file", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GUEST_GPA, GUEST_MEM, GUEST_UVA, 4096}}}, ONE_FD(mem_fd)},
	{"region that wraps", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{UINT64_MAX - 4095, GUEST_MEM, GUEST_UVA, 0}}}, ONE_FD(mem_fd)},
	{"offset that wraps", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GUEST_GPA, GUEST_MEM, GUEST_UVA, UINT64_MAX - 4095}}},
		ONE_FD(mem_fd)},
	{"region of no file", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GUEST_GPA, GUEST_MEM, GUEST_UVA, 0}}}, ONE_FD(event_fd)},
	{"region of a device", VHOST_ADD_MEM_REG, SIZE(slot),
		.payload.slot = {0, {GUEST_GPA + GUEST_MEM, GUEST_MEM, GUEST_UVA, 0}}, ONE_FD(dev_null)},
	{"added region overlaps", VHOST_ADD_MEM_REG, SIZE(slot),
		.payload.slot = {0, {GUEST_GPA + 4096, GUEST_MEM, GUEST_UVA, 0}}, ONE_FD(mem_fd)},
	{"added region without fd", VHOST_ADD_MEM_REG, SIZE(slot),
		.payload.slot = {0, {GUEST_GPA + GUEST_MEM, GUEST_MEM, GUEST_UVA, 0}}},
	{"in flight of no rings", VHOST_GET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {0, 0, 0, GUEST_NUM}},
	{"in flight of too many rings", VHOST_GET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {0, 0, 5, GUEST_NUM}},
	{"in flight of odd rings", VHOST_GET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {0, 0, 2, GUEST_NUM - 1}},
	{"in flight past its file", VHOST_SET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {2 * GUEST_MEM, 0, 2, GUEST_NUM}, ONE_FD(mem_fd)},
	{"in flight at an offset that wraps", VHOST_SET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {4096, UINT64_MAX - 63, 1, 8}, ONE_FD(mem_fd)},
	{"in flight in too little", VHOST_SET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {64, 0, 2, GUEST_NUM}, ONE_FD(mem_fd)},
	{"in flight not aligned", VHOST_SET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {GUEST_MEM - 64, 4, 2, GUEST_NUM}, ONE_FD(mem_fd)},
	{"in flight in no memory", VHOST_SET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {GUEST_MEM, 0, 2, GUEST_NUM}, ONE_FD(event_fd)},
	{"in flight without fd", VHOST_SET_INFLIGHT_FD, SIZE(inflight),
		.payload.inflight = {GUEST_MEM, 0, 2, GUEST_NUM}},
	{"status 256", VHOST_SET_STATUS, SIZE(u64), .payload.u64 = 256},
};

static void malformed_messages_end_the_connection(void **state)
{
	struct guest g;
	int ends[2];

	event_fd = eventfd(0, EFD_NONBLOCK);
	mem_fd = guest_memory(GUEST_MEM);
	small_fd = guest_memory(GUEST_MEM - 4096);
	dev_null = open("/dev/null", O_RDWR);
	assert_int_equal(pipe(ends), 0);
	pipe_end = ends[1];
	for (unsigned i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		uint8_t payload[4096] = {0};

		guest_boot(&g, 0);
		guest_expect_alive(&g, 0);
		memcpy(payload, &s->payload, sizeof(s->payload));
		say_flags(g.fd, s->request, s->flags ? s->flags : VHOST_VERSION, payload, s->size, s->fd,
			s->nfd);
		if (!hung_up(g.fd))
			fail_msg("%s: the connection goes on", s->name);
		assert_false(world_up(0));
		guest_shut(&g);
	}
	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
	close(event_fd);
	close(mem_fd);
	close(small_fd);
	close(dev_null);
	close(ends[0]);
	close(ends[1]);
}

static void too_many_fds(void **state)
{
	struct vhost_wire_table table = {.count = 8};
	int fds[16], fd = guest_join(0), memfd = guest_memory(GUEST_MEM);

	for (unsigned i = 0; i < 16; i++)
		fds[i] = memfd;
	say(fd, VHOST_SET_MEM_TABLE, &table, sizeof(table), fds, 9);
	assert_true(hung_up(fd));
	guest_leave(fd);
	close(memfd);
}

/* Nine fds in two parts of one message. */
static void too_many_fds_in_pieces(void **state)
{
	struct vhost_header header = {VHOST_SET_MEM_TABLE, VHOST_VERSION, sizeof(struct vhost_wire_table)};
	int fds[8], fd = guest_join(0), memfd = guest_memory(GUEST_MEM);

	for (unsigned i = 0; i < 8; i++)
		fds[i] = memfd;
	assert_int_equal(say_bytes(fd, &header, 6, fds, 8), 6);
	world_turns(1);
	assert_int_equal(say_bytes(fd, (uint8_t *)&header + 6, 6, fds, 1), 6);
	assert_true(hung_up(fd));
	guest_leave(fd);
	close(memfd);
}

static void disconnect_half_way(void **state)
{
	struct vhost_header header = {VHOST_SET_MEM_TABLE, VHOST_VERSION, sizeof(struct vhost_wire_table)};
	int fd = guest_join(0), memfd = guest_memory(GUEST_MEM);
	struct guest g;

	assert_int_equal(say_bytes(fd, &header, 10, &memfd, 1), 10);
	world_turns(1);
	guest_leave(fd);
	close(memfd);
	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_shut(&g);
}

static void unread_answers_end_the_connection(void **state)
{
	struct vhost_header header = {VHOST_GET_FEATURES, VHOST_VERSION, 0};
	int fd = guest_join(0), size = 4096;
	struct guest other;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 100000; i++) {
		if (say_bytes(fd, &header, sizeof(header), NULL, 0) < 0 && errno == EPIPE)
			break;
		if (i % 32 == 0)
			world_turns(1);
	}
	guest_boot(&other, 1);
	guest_expect_alive(&other, 1);
	guest_shut(&other);
	guest_leave(fd);
	guest_boot(&other, 0);
	guest_expect_alive(&other, 0);
	guest_shut(&other);
}

/* To have rings run costs more than other messages do, so whoever asks for it without end waits between. */
static void rings_published_in_a_loop(void **state)
{
	struct {
		struct vhost_header header;
		struct vhost_wire_state state;
	} __attribute__((packed)) message[4];
	struct guest g;

	guest_boot(&g, 0);
	for (unsigned i = 0; i < 4; i++) { /* off, on, off, on */
		message[i].header = (struct vhost_header){
			VHOST_SET_VRING_ENABLE, VHOST_VERSION, sizeof(message[i].state)};
		message[i].state = (struct vhost_wire_state){.index = 1, .num = i & 1};
	}
	assert_int_equal(say_bytes(g.fd, message, 3 * sizeof(message[0]), NULL, 0), 3 * sizeof(message[0]));
	world_turns(1);
	assert_true(world_up(0)); /* off and on */
	world_turns(1);
	assert_false(world_up(0)); /* the third had to wait */
	assert_int_equal(say_bytes(g.fd, &message[3], sizeof(message[3]), NULL, 0), sizeof(message[3]));
	world_turns(1);
	assert_true(world_up(0));
	guest_expect_alive(&g, 0);
	guest_shut(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(partial_message),
		T(fds_of_a_message_in_pieces),
		T(malformed_messages_end_the_connection),
		T(too_many_fds),
		T(too_many_fds_in_pieces),
		T(disconnect_half_way),
		T(unread_answers_end_the_connection),
		T(rings_published_in_a_loop),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}
