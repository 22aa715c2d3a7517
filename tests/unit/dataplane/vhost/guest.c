#include "tests/unit/dataplane/vhost/guest.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/unit.h"

int guest_join(unsigned i)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, world->path[i]);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	loop_turn(&world->loop, 1000);
	return fd;
}

void guest_leave(int fd)
{
	close(fd);
	world_turns(2);
}

int guest_memory(size_t len)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

void guest_say_memory(int fd, int memfd, uint64_t size)
{
	struct vhost_wire_table table = {.count = 1, .region = {{GUEST_GPA, size, GUEST_UVA, 0}}};

	say(fd, VHOST_SET_MEM_TABLE, &table, offsetof(struct vhost_wire_table, region[1]), &memfd, 1);
}

void guest_say_addr(int fd, uint32_t index, uint64_t offset)
{
	struct vhost_wire_addr addr = {.index = index,
		.desc = GUEST_UVA + offset,
		.avail = GUEST_UVA + offset + 4096,
		.used = GUEST_UVA + offset + 8192};

	say(fd, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

void guest_set_vring(struct guest *g, unsigned i)
{
	say_state(g->fd, VHOST_SET_VRING_NUM, i, GUEST_NUM);
	say_state(g->fd, VHOST_SET_VRING_BASE, i, 0);
	guest_say_addr(g->fd, i, i % 2 ? GUEST_TX_RING : GUEST_RX_RING);
	say_vring_fd(g->fd, VHOST_SET_VRING_KICK, i, g->kick[i % 2]);
	say_vring_fd(g->fd, VHOST_SET_VRING_CALL, i, g->call[i % 2]);
}

void guest_boot(struct guest *g, unsigned i)
{
	g->memfd = guest_memory(GUEST_MEM);
	g->mem = mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
	for (unsigned k = 0; k < 2; k++) {
		g->kick[k] = eventfd(0, EFD_NONBLOCK);
		g->call[k] = eventfd(0, EFD_NONBLOCK);
	}
	g->fd = guest_join(i);
	ask(g->fd, VHOST_GET_FEATURES);
	say(g->fd, VHOST_SET_OWNER, NULL, 0, NULL, 0);
	ask(g->fd, VHOST_GET_PROTOCOL_FEATURES);
	say_u64(g->fd, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTO_REPLY_ACK | 1 << VHOST_PROTO_RARP);
	say_u64(g->fd, VHOST_SET_FEATURES, GUEST_FEATURES);
	guest_say_memory(g->fd, g->memfd, GUEST_MEM);
	for (unsigned k = 0; k < 2; k++)
		guest_set_vring(g, k);
	for (unsigned k = 0; k < 2; k++)
		say_state(g->fd, VHOST_SET_VRING_ENABLE, k, 1);
}

void guest_shut(struct guest *g)
{
	guest_leave(g->fd);
	munmap(g->mem, GUEST_MEM);
	close(g->memfd);
	for (unsigned k = 0; k < 2; k++) {
		close(g->kick[k]);
		close(g->call[k]);
	}
}

void guest_sends(struct guest *g, uint32_t len)
{
	struct vring_desc *desc = (struct vring_desc *)(g->mem + GUEST_TX_RING);
	struct vring_avail *avail = (struct vring_avail *)(g->mem + GUEST_TX_RING + 4096);

	desc[3] = (struct vring_desc){GUEST_GPA + GUEST_BUFFER, VHOST_HDR + len, 0, 0};
	avail->ring[avail->idx % GUEST_NUM] = 3;
	avail->idx++;
}

void guest_sends_packed(struct guest *g, unsigned slot, bool wrap)
{
	struct vring_packed_desc *desc = (struct vring_packed_desc *)(g->mem + GUEST_TX_RING);

	desc[slot] = (struct vring_packed_desc){GUEST_GPA + GUEST_BUFFER, VHOST_HDR + 100, (uint16_t)slot,
		(uint16_t)(1 << (wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED))};
}

void guest_expect_alive(struct guest *g, unsigned i)
{
	assert_true(world_up(i));
	guest_sends(g, 100);
	assert_int_equal(world_poll(i, 0), 1);
}
