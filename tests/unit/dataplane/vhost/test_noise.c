/* Front-ends that say and write anything at all. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

/* A message that is likely to make some sense. */
static void say_something(struct guest *g)
{
	static const uint32_t ring_nums[] = {0, 1, 2, 63, 64, 64, 64, 256, 32768, 65536};
	uint32_t index = (uint32_t)random() % 5, request = 1 + (uint32_t)random() % 41;
	struct vhost_header header = {request, VHOST_VERSION | (random() % 4 ? 0 : VHOST_NEED_REPLY), 8};
	union vhost_payload payload = {.state = {index, random() % 2}};
	uint8_t bytes[sizeof(header) + sizeof(payload)];
	int fd = random() % 2 ? g->memfd : g->kick[random() % 2];
	unsigned nfd = (unsigned)random() % 3 == 0;

	switch (request) {
	case VHOST_SET_VRING_NUM:
		payload.state.num = ring_nums[random() % 10];
		break;
	case VHOST_SET_VRING_ADDR:
		header.size = sizeof(payload.addr);
		payload.addr = (struct vhost_wire_addr){index, 0,
			GUEST_UVA + (uint64_t)random() % GUEST_MEM / 16 * 16,
			GUEST_UVA + (uint64_t)random() % GUEST_MEM / 4 * 4,
			GUEST_UVA + (uint64_t)random() % GUEST_MEM / 4 * 4, 0};
		break;
	case VHOST_SET_MEM_TABLE:
		header.size = 40;
		payload.table = (struct vhost_wire_table){
			1, 0, {{GUEST_GPA, (uint64_t)random() % (2 * GUEST_MEM), GUEST_UVA, 0}}};
		nfd = 1;
		fd = g->memfd;
		break;
	case VHOST_ADD_MEM_REG:
	case VHOST_REM_MEM_REG:
		header.size = sizeof(payload.slot);
		payload.slot = (struct vhost_wire_slot){
			0, {GUEST_GPA + GUEST_MEM * ((uint64_t)random() % 3), GUEST_MEM,
				   GUEST_UVA + GUEST_MEM, (uint64_t)random() % 2 * 4096}};
		nfd = 1;
		fd = g->memfd;
		break;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
		payload.u64 = index;
		nfd = 1;
		break;
	case VHOST_SET_FEATURES:
		payload.u64 = GUEST_FEATURES | (uint64_t)random() << 4;
		break;
	case VHOST_SET_PROTOCOL_FEATURES:
		payload.u64 = (uint64_t)random() & 0x1801d;
		break;
	default:
		break;
	}
	if (random() % 10 == 0)
		header.size = (uint32_t)random() % 300;
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &payload, sizeof(payload));
	if (header.size > sizeof(payload))
		header.size = sizeof(payload);
	say_bytes(g->fd, bytes, sizeof(header) + header.size, &fd, nfd);
}

/* Rings of noise, polled between messages of noise. */
static void random_handshakes(void **state)
{
	struct frame f, *frames[] = {&f};
	uint8_t sink[4096];
	unsigned links = 0;

	srandom(11);
	frame_init(&f);
	f.net = 1;
	f.len = 64;
	f.hdr_len = 64;
	for (unsigned round = 0; round < 2000; round++) {
		struct guest g;

		guest_boot(&g, 0);
		for (unsigned i = 0; i < GUEST_MEM / 512; i++)
			((uint32_t *)g.mem)[(size_t)random() % (GUEST_MEM / 4)] = (uint32_t)random();
		for (unsigned i = 0; i < 12 && !hung_up(g.fd); i++) {
			say_something(&g);
			world_turns(1);
			for (unsigned q = 0; q < 2; q++)
				world_poll(0, (uint16_t)q);
			vhost_tx(&world->port[0], &world->w, frames, 1);
			vhost_arm(&world->port[0], 0, i % 2);
			links += world_up(0);
			while (recv(g.fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
				;
		}
		close(g.fd);
		munmap(g.mem, GUEST_MEM);
		close(g.memfd);
		for (unsigned k = 0; k < 2; k++) {
			close(g.kick[k]);
			close(g.call[k]);
		}
		world_turns(2);
		assert_false(world_up(0));
	}
	assert_true(links > 100); /* noise that never got anywhere would show nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(random_handshakes),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}
