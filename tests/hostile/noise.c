#include "tests/hostile/noise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/front/wire.h"

enum {
	MEM = 1 << 20,
	RING_ROOM = MEM / 4, /* of each of the two rings; frames fill the rest */
	FRAMES = MEM / 2,
	FRAME_ROOM = 2048,
	PATIENCE_MS = 5000,
};

#define GPA UINT64_C(0x40000000)
#define UVA UINT64_C(0x7f0000000000)
#define BIT(n) (UINT64_C(1) << (n))

uint32_t noise_below(struct noise *n, uint32_t limit)
{
	uint64_t x = n->random; /* Marsaglia's xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	n->random = x;
	return (uint32_t)((x >> 32) * limit >> 32);
}

static bool one_in(struct noise *n, uint32_t times)
{
	return noise_below(n, times) == 0;
}

static int join(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	for (unsigned ms = 0; ms < PATIENCE_MS; ms++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return -errno;
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		rc = -errno;
		close(fd);
		if (rc != -EAGAIN)
			return rc;
		poll(NULL, 0, 1);
	}
	return -ETIMEDOUT;
}

int noise_open(struct noise *n)
{
	n->mem = NULL;
	n->packed = false;
	n->features = 0;
	n->num = 64;
	for (unsigned i = 0; i < 2; i++) {
		n->kick[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		n->call[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	n->memfd = memfd_create("noise", MFD_CLOEXEC);
	n->socket = join(n->path);
	if (n->memfd < 0 || ftruncate(n->memfd, MEM) < 0)
		return -ENOMEM;
	n->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, n->memfd, 0);
	if (n->mem == MAP_FAILED) {
		n->mem = NULL;
		return -ENOMEM;
	}
	return n->socket < 0 ? n->socket : 0;
}

void noise_close(struct noise *n)
{
	const int fds[] = {n->socket, n->memfd, n->kick[0], n->kick[1], n->call[0], n->call[1]};

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (n->mem)
		munmap(n->mem, MEM);
}

bool noise_hung_up(struct noise *n)
{
	uint8_t sink[4096];
	ssize_t got;

	do
		got = recv(n->socket, sink, sizeof(sink), MSG_DONTWAIT);
	while (got > 0);
	return got == 0 || errno != EAGAIN;
}

static void say(struct noise *n, struct front_wire *msg, const int *fds, unsigned nfds)
{
	msg->flags |= FRONT_WIRE_VERSION;
	front_wire_send(n->socket, msg, fds, nfds); /* who has hung up does not hear it */
}

static void say_value(struct noise *n, uint32_t request, uint64_t value, int fd)
{
	struct front_wire msg = {.request = request, .size = 8, .body.value = value};

	say(n, &msg, &fd, fd >= 0);
}

static void say_state(struct noise *n, uint32_t request, uint32_t index, uint32_t value)
{
	struct front_wire msg = {.request = request, .size = 8, .body.state = {index, value}};

	say(n, &msg, NULL, 0);
}

static void say_memory(struct noise *n, uint64_t size)
{
	struct front_wire msg = {
		.request = FRONT_SET_MEM_TABLE, .size = 8 + sizeof(struct front_wire_region)};

	msg.body.memory.count = 1;
	msg.body.memory.region[0] = (struct front_wire_region){GPA, size, UVA, 0};
	say(n, &msg, &n->memfd, 1);
}

static void say_address(struct noise *n, uint32_t index)
{
	struct front_wire msg = {.request = FRONT_SET_VRING_ADDR, .size = sizeof(msg.body.address)};
	uint64_t at = UVA + (uint64_t)(index & 1) * RING_ROOM;

	msg.body.address = (struct front_wire_address){
		.index = index, .desc = at, .avail = at + RING_ROOM / 2, .used = at + RING_ROOM * 3 / 4};
	say(n, &msg, NULL, 0);
}

static void say_features(struct noise *n)
{
	static const uint8_t drawn[] = {VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM,
		VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

	n->packed = one_in(n, 2);
	n->features = BIT(VIRTIO_F_VERSION_1) | BIT(FRONT_F_PROTOCOL_FEATURES);
	for (unsigned i = 0; i < sizeof(drawn); i++)
		n->features |= one_in(n, 2) ? BIT(drawn[i]) : 0;
	if (n->packed)
		n->features |= BIT(VIRTIO_F_RING_PACKED);
	say_value(n, FRONT_SET_FEATURES, n->features, -1);
}

static void say_ring(struct noise *n, unsigned i, unsigned step)
{
	switch (step) {
	case 0:
		say_state(n, FRONT_SET_VRING_NUM, i, n->num);
		break;
	case 1:
		say_state(n, FRONT_SET_VRING_BASE, i, n->packed ? 1 << 15 : 0);
		break;
	case 2:
		say_address(n, i);
		break;
	case 3:
		say_value(n, FRONT_SET_VRING_CALL, i, n->call[i]);
		break;
	default:
		say_value(n, FRONT_SET_VRING_KICK, i, n->kick[i]);
		break;
	}
}

void noise_boot(struct noise *n, unsigned steps)
{
	n->num = 2u << noise_below(n, 9);
	for (unsigned step = 0; step < steps && step < NOISE_STEPS; step++) {
		if (step == 0)
			say(n, &(struct front_wire){.request = FRONT_SET_OWNER}, NULL, 0);
		else if (step == 1)
			say_value(n, FRONT_SET_PROTOCOL_FEATURES, BIT(FRONT_PROTOCOL_REPLY_ACK), -1);
		else if (step == 2)
			say_features(n);
		else if (step == 3)
			say_memory(n, MEM);
		else if (step < 14)
			say_ring(n, (step - 4) / 5, (step - 4) % 5);
		else
			say_state(n, FRONT_SET_VRING_ENABLE, step - 14, 1);
	}
}

static uint64_t some_value(struct noise *n)
{
	static const uint64_t values[] = {0, 1, 2, 3, 64, 255, 256, 257, 1023, 32768, 65535, 65536,
		UINT32_MAX, BIT(32), UINT64_MAX, GPA, UVA, UVA + MEM - 16};

	return one_in(n, 3) ? n->random : values[noise_below(n, sizeof(values) / sizeof(values[0]))];
}

/*
 * What it says is in flight is noise, in regions among the frames that are mostly large enough. Packed rings lose
 * the mark (dataplane/vhost/resume.h), or nobody would look there.
 */
static void draw_inflight(struct noise *n, struct front_wire *msg)
{
	const uint64_t offset = FRAMES + noise_below(n, FRAMES / 2) / 64 * 64;
	const uint64_t where[2] = {MEM - offset, offset};
	const uint16_t rings[2] = {2, (uint16_t)(one_in(n, 8) ? some_value(n) : n->num)};

	memcpy(msg->body.bytes, where, sizeof(where));
	memcpy(msg->body.bytes + sizeof(where), rings, sizeof(rings));
	msg->size = 24;
	for (unsigned i = 0; i < 512; i++) {
		uint64_t value = some_value(n);

		memcpy(n->mem + offset + i * sizeof(value), &value, sizeof(value));
	}
	for (unsigned i = 0; n->packed && i < 2; i++)
		memset(n->mem + (size_t)i * RING_ROOM + RING_ROOM * 3 / 4, 0, 4);
}

/* What such a request mostly looks like; the rest of it stays noise. */
static void shape_message(struct noise *n, struct front_wire *msg, int *fds, unsigned *nfds)
{
	switch (msg->request) {
	case FRONT_SET_MEM_TABLE:
		msg->body.memory.count = noise_below(n, 10);
		msg->size = 8 + 32 * msg->body.memory.count;
		*nfds = msg->body.memory.count < FRONT_WIRE_MAX_FDS ? msg->body.memory.count
								    : FRONT_WIRE_MAX_FDS;
		for (unsigned i = 0; i < FRONT_WIRE_MAX_REGIONS; i++)
			msg->body.memory.region[i] = (struct front_wire_region){GPA + MEM * i,
				one_in(n, 2) ? MEM : some_value(n), UVA + MEM * i, one_in(n, 8) ? 4096 : 0};
		break;
	case FRONT_SET_VRING_ADDR:
		msg->size = sizeof(msg->body.address);
		msg->body.address.desc = UVA + noise_below(n, MEM) / 16 * 16;
		msg->body.address.avail = UVA + noise_below(n, MEM) / 4 * 4;
		msg->body.address.used = UVA + noise_below(n, MEM) / 4 * 4;
		break;
	case FRONT_ADD_MEM_REG:
	case FRONT_REM_MEM_REG:
		msg->size = 40;
		fds[0] = n->memfd;
		*nfds = 1;
		break;
	case FRONT_SET_INFLIGHT_FD:
		draw_inflight(n, msg);
		fds[0] = n->memfd;
		*nfds = 1;
		break;
	case FRONT_SET_VRING_KICK:
	case FRONT_SET_VRING_CALL:
		fds[0] = n->kick[noise_below(n, 2)];
		*nfds = 1;
		break;
	case FRONT_SET_VRING_NUM:
	case FRONT_SET_VRING_BASE:
	case FRONT_SET_VRING_ENABLE:
		msg->body.state.value = one_in(n, 2) ? noise_below(n, 3) : 1u << noise_below(n, 17);
		break;
	default:
		break;
	}
}

void noise_message(struct noise *n)
{
	struct front_wire msg = {
		.request = one_in(n, 8) ? FRONT_SET_INFLIGHT_FD : 1 + noise_below(n, 42), .size = 8};
	int fds[FRONT_WIRE_MAX_FDS];
	unsigned nfds = one_in(n, 3) ? noise_below(n, FRONT_WIRE_MAX_FDS + 1) : 0;

	for (unsigned i = 0; i < FRONT_WIRE_MAX_FDS; i++)
		fds[i] = one_in(n, 2) ? n->memfd : n->kick[i & 1];
	for (unsigned i = 0; i < sizeof(msg.body) / 8; i++) {
		uint64_t value = some_value(n);

		memcpy(msg.body.bytes + 8 * i, &value, sizeof(value));
	}
	if (msg.request >= FRONT_SET_VRING_NUM && msg.request <= FRONT_SET_VRING_ERR)
		msg.body.state.index = noise_below(n, 5);
	shape_message(n, &msg, fds, &nfds);
	if (one_in(n, 10))
		msg.size = noise_below(n, sizeof(msg.body));
	if (one_in(n, 4))
		msg.flags = FRONT_WIRE_NEED_REPLY;
	say(n, &msg, fds, nfds);
}

void noise_malformed(struct noise *n, unsigned which)
{
	int fds[FRONT_WIRE_MAX_FDS];
	struct front_wire msg = {.request = FRONT_SET_MEM_TABLE, .size = 40};

	for (unsigned i = 0; i < FRONT_WIRE_MAX_FDS; i++)
		fds[i] = n->memfd;
	msg.body.memory.count = 1;
	msg.body.memory.region[0] = (struct front_wire_region){GPA, MEM, UVA, 0};
	switch (which % 14) {
	case 0: /* longer than any message */
		msg.size = 504;
		front_wire_send(
			n->socket, &(struct front_wire){.request = 5, .flags = 1, .size = 0}, NULL, 0);
		break;
	case 1: /* no such version */
		msg.flags = 2;
		break;
	case 2: /* an answer */
		msg.flags = FRONT_WIRE_REPLY;
		break;
	case 3: /* regions without their fds */
		say(n, &msg, NULL, 0);
		return;
	case 4: /* an fd for each of eight regions, of which there is one */
		say(n, &msg, fds, FRONT_WIRE_MAX_FDS);
		return;
	case 5: /* past the end of the file */
		msg.body.memory.region[0].offset = MEM;
		break;
	case 6: /* longer than the file */
		msg.body.memory.region[0].size = BIT(40);
		break;
	case 7: /* around the end of the address space */
		msg.body.memory.region[0].guest_address = UINT64_MAX - 4095;
		break;
	case 8: /* two regions at one place */
		msg.body.memory.count = 2;
		msg.size = 72;
		msg.body.memory.region[1] = msg.body.memory.region[0];
		say(n, &msg, fds, 2);
		return;
	case 9: /* an fd of the wrong kind */
		fds[0] = n->kick[0];
		break;
	case 10: /* a ring's fds where no ring is */
		say_value(n, FRONT_SET_VRING_KICK, 200, n->kick[0]);
		return;
	case 11: /* a file to be called by */
		say_value(n, FRONT_SET_VRING_CALL, 0, n->memfd);
		return;
	case 12: /* a request that was not agreed on, with an fd */
		say_value(n, FRONT_SET_LOG_BASE, 0, n->memfd);
		return;
	default: /* no request at all */
		msg.request = 0xffffffff;
		break;
	}
	say(n, &msg, fds, 1);
}

void noise_partial(struct noise *n)
{
	struct front_wire msg = {.request = FRONT_SET_FEATURES, .flags = FRONT_WIRE_VERSION, .size = 8};

	send(n->socket, &msg, 1 + noise_below(n, FRONT_WIRE_HEADER + 7), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* An address in a ring: mostly of a frame, now and then of anything. */
static uint64_t some_address(struct noise *n)
{
	switch (noise_below(n, 16)) {
	case 0:
		return some_value(n);
	case 1:
		return GPA + MEM - noise_below(n, 64);
	case 2: /* of the ring itself */
		return GPA + noise_below(n, 2 * RING_ROOM);
	default:
		return GPA + FRAMES + (uint64_t)noise_below(n, FRAMES / FRAME_ROOM) * FRAME_ROOM;
	}
}

static uint32_t some_length(struct noise *n)
{
	static const uint32_t lengths[] = {
		0, 1, 11, 12, 13, 25, 26, 72, 1526, 2048, 9012, 65535, 65536, 65548, UINT32_MAX};

	return one_in(n, 3) ? noise_below(n, 2048)
			    : lengths[noise_below(n, sizeof(lengths) / sizeof(lengths[0]))];
}

static void write_split(struct noise *n, uint8_t *ring)
{
	struct vring_desc *desc = (struct vring_desc *)ring;
	struct vring_avail *avail = (struct vring_avail *)(ring + RING_ROOM / 2);
	uint32_t offered = one_in(n, 20) ? noise_below(n, 65536) : noise_below(n, n->num + 1);

	for (uint32_t i = 0; i < n->num; i++) {
		desc[i] = (struct vring_desc){some_address(n), some_length(n),
			(uint16_t)(one_in(n, 4) ? noise_below(n, 8) : noise_below(n, 3)),
			(uint16_t)noise_below(n, n->num + n->num / 8 + 1)};
		avail->ring[i] = (uint16_t)noise_below(n, n->num + (one_in(n, 32) ? 100 : 0));
	}
	avail->flags = (uint16_t)noise_below(n, 2);
	avail->ring[n->num] = (uint16_t)noise_below(n, 65536); /* the event index */
	__atomic_store_n(&avail->idx, (uint16_t)(avail->idx + offered), __ATOMIC_RELEASE);
}

static void write_packed(struct noise *n, uint8_t *ring)
{
	static const uint16_t available = 1 << VRING_PACKED_DESC_F_AVAIL,
			      used = 1 << VRING_PACKED_DESC_F_USED;
	struct vring_packed_desc *desc = (struct vring_packed_desc *)ring;

	for (uint32_t i = n->num; i-- > 0;)
		desc[i] = (struct vring_packed_desc){some_address(n), some_length(n),
			(uint16_t)noise_below(n, n->num + 1),
			(uint16_t)((one_in(n, 8) ? noise_below(n, 8) : noise_below(n, 3)) |
				   (one_in(n, 16) ? used : available))};
	memset(ring + RING_ROOM / 2, (int)noise_below(n, 4), sizeof(struct vring_packed_desc_event));
}

/* Headers that nearly make sense: what they say is looked into the deeper. */
static void write_frame(struct noise *n, uint8_t *at)
{
	static const uint8_t starts[][16] = {{0x08, 0x00, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6},
		{0x08, 0x00, 0x4f, 0, 0x05, 0xdc, 0, 0, 0x20, 0, 64, 17},
		{0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 6, 64}, {0x86, 0xdd, 0x60, 0, 0, 0, 0xff, 0xff, 0, 64},
		{0x81, 0x00, 0, 1, 0x08, 0x00, 0x45}, {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1}};
	struct virtio_net_hdr *hdr = (struct virtio_net_hdr *)at;

	*hdr = (struct virtio_net_hdr){.flags = (uint8_t)noise_below(n, 3),
		.gso_type = (uint8_t)(one_in(n, 2) ? 0 : noise_below(n, 6)),
		.hdr_len = (uint16_t)some_length(n),
		.gso_size = (uint16_t)some_length(n),
		.csum_start = (uint16_t)noise_below(n, 80),
		.csum_offset = (uint16_t)noise_below(n, 24)};
	for (unsigned i = 12; i < 128; i++)
		at[i] = (uint8_t)noise_below(n, 256);
	memset(at + 12, one_in(n, 2) ? 0xff : 0x02, 6);
	at[18] = 0x02;
	memcpy(at + 24, starts[noise_below(n, sizeof(starts) / sizeof(starts[0]))], one_in(n, 2) ? 16 : 6);
}

void noise_rings(struct noise *n)
{
	for (unsigned i = 0; i < FRAMES / FRAME_ROOM; i++)
		write_frame(n, n->mem + FRAMES + (size_t)i * FRAME_ROOM);
	for (unsigned i = 0; i < 2; i++) {
		if (n->packed)
			write_packed(n, n->mem + (size_t)i * RING_ROOM);
		else
			write_split(n, n->mem + (size_t)i * RING_ROOM);
		eventfd_write(n->kick[i], 1);
	}
}

void noise_scribble(struct noise *n, unsigned words)
{
	while (words-- > 0) {
		/* mostly where descriptors and indices are */
		uint32_t at = one_in(n, 2) ? noise_below(n, 2) * RING_ROOM + noise_below(n, 16 * n->num)
					   : noise_below(n, MEM);

		*(volatile uint32_t *)(n->mem + at / 4 * 4) = (uint32_t)some_value(n);
	}
}

void noise_truncate(struct noise *n)
{
	munmap(n->mem, MEM);
	n->mem = NULL;
	if (ftruncate(n->memfd, one_in(n, 2) ? 0 : RING_ROOM) < 0)
		return; /* sealed: the switch was quicker */
}

void noise_fill_calls(struct noise *n)
{
	for (unsigned i = 0; i < 2; i++) {
		eventfd_write(n->call[i], UINT64_MAX - 1 - noise_below(n, 2));
		fcntl(n->call[i], F_SETFL, 0);
	}
}
