/*
 * A vhost-user port on a real socket, with a front-end that says what the test wants said: handshakes,
 * malformed messages, silence, memory that is not what it was, and noise. There are no workers; the test
 * polls the rings.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/dp.h"
#include "dataplane/vhost_dev.h"
#include "tests/unit/loop.h"
#include "tests/unit/unit.h"

enum {
	MEM = 1 << 20,
	GPA = 0x100000,
	UVA = 0x70000000,
	NUM = 64,
	RX_RING = 0, /* offsets of the rings: the guest receives by this one */
	TX_RING = MEM - 16384,
	BUFFER = 65536,
};

struct bench {
	struct loop loop;
	struct dp dp;
	struct worker w;
	struct port port[2];
	char path[2][64];
};

static struct bench *bench;
static char dir[] = "/tmp/sluice-vhost-XXXXXX";

static int open_port(unsigned i, bool client, unsigned queues, struct dp_err *err)
{
	struct port *port = &bench->port[i];

	*port = (struct port){
		.dp = &bench->dp, .id = (uint16_t)i, .net = 1, .mtu = 1500, .ops = &port_vhost_ops};
	port->spec = (struct dp_port){.type = DP_VHOST_USER,
		.queues = (uint16_t)queues,
		.mtu = 1500,
		.socket = bench->path[i],
		.client = client,
		.socket_mode = 0660};
	return port->ops->open(port, err);
}

static int setup(void **state)
{
	bench = aligned_alloc(64, (sizeof(*bench) + 63) / 64 * 64);
	memset(bench, 0, sizeof(*bench));
	bench->dp.config.loop = loop_ops(&bench->loop);
	bench->w.dp = &bench->dp;
	bench->w.port_stats = calloc(MAX_PORTS, sizeof(*bench->w.port_stats));
	assert_int_equal(notifier_new(&bench->w.notifier), 0);
	bench->dp.notifier = bench->w.notifier; /* one thread is both here */
	bench->w.net_stats = calloc(MAX_NETS, sizeof(*bench->w.net_stats));
	for (unsigned i = 0; i < 2; i++) {
		snprintf(bench->path[i], sizeof(bench->path[i]), "%s/%u.sock", dir, i);
		assert_int_equal(open_port(i, false, 2, NULL), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		if (bench->port[i].priv)
			port_vhost_ops.close(&bench->port[i]);
	assert_int_equal(loop_count(&bench->loop), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(access(bench->path[i], F_OK), -1);
	notifier_free(bench->w.notifier);
	free(bench->w.port_stats);
	free(bench->w.net_stats);
	free(bench);
	return 0;
}

static struct vhost_dev *dev(unsigned i)
{
	return bench->port[i].priv;
}

static void turns(unsigned n)
{
	while (n--)
		loop_turn(&bench->loop, 0);
}

/* --- a front-end ---------------------------------------------------------------------------------------- */

static int join(unsigned i)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, bench->path[i]);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	loop_turn(&bench->loop, 1000);
	return fd;
}

static void leave(int fd)
{
	close(fd);
	turns(2);
}

static ssize_t say_bytes(int fd, const void *bytes, size_t len, const int *fds, unsigned nfd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)bytes, len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfd) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(nfd * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfd * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfd * sizeof(int));
	}
	return sendmsg(fd, &hdr, MSG_NOSIGNAL);
}

static void say_flags(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	const int *fds, unsigned nfd)
{
	uint8_t bytes[sizeof(struct vhost_header) + 4096];
	struct vhost_header header = {request, flags, size};

	memcpy(bytes, &header, sizeof(header));
	if (size)
		memcpy(bytes + sizeof(header), payload, size);
	assert_int_equal(say_bytes(fd, bytes, sizeof(header) + size, fds, nfd), sizeof(header) + size);
	turns(2);
}

static void say(int fd, uint32_t request, const void *payload, uint32_t size, const int *fds, unsigned nfd)
{
	say_flags(fd, request, VHOST_VERSION, payload, size, fds, nfd);
}

static void say_u64(int fd, uint32_t request, uint64_t value)
{
	say(fd, request, &value, sizeof(value), NULL, 0);
}

static void say_state(int fd, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_wire_state state = {index, num};

	say(fd, request, &state, sizeof(state), NULL, 0);
}

static uint64_t hear(int fd, uint32_t request)
{
	struct {
		struct vhost_header header;
		uint8_t payload[8];
	} answer;
	uint64_t value;

	assert_int_equal(recv(fd, &answer, sizeof(answer), MSG_DONTWAIT), 20);
	assert_int_equal(answer.header.request, request);
	assert_int_equal(answer.header.flags, VHOST_VERSION | VHOST_REPLY);
	assert_int_equal(answer.header.size, 8);
	memcpy(&value, answer.payload, sizeof(value));
	return value;
}

static uint64_t ask(int fd, uint32_t request)
{
	say(fd, request, NULL, 0, NULL, 0);
	return hear(fd, request);
}

static bool hung_up(int fd)
{
	char byte;

	turns(2);
	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || errno == ECONNRESET;
}

struct guest {
	int fd, memfd;
	uint8_t *mem;
	int kick[2], call[2];
};

static int memory(size_t len)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static void say_memory(int fd, int memfd, uint64_t size)
{
	struct vhost_wire_table table = {.count = 1, .region = {{GPA, size, UVA, 0}}};

	say(fd, VHOST_SET_MEM_TABLE, &table, offsetof(struct vhost_wire_table, region[1]), &memfd, 1);
}

static void say_addr(int fd, uint32_t index, uint64_t offset)
{
	struct vhost_wire_addr addr = {.index = index,
		.desc = UVA + offset,
		.avail = UVA + offset + 4096,
		.used = UVA + offset + 8192};

	say(fd, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static void say_vring_fd(int fd, uint32_t request, uint64_t index, int event)
{
	uint64_t value = index | (event < 0 ? VHOST_VRING_NO_FD : 0);

	say(fd, request, &value, sizeof(value), &event, event >= 0);
}

static void set_up_vring(struct guest *g, unsigned i)
{
	say_state(g->fd, VHOST_SET_VRING_NUM, i, NUM);
	say_state(g->fd, VHOST_SET_VRING_BASE, i, 0);
	say_addr(g->fd, i, i % 2 ? TX_RING : RX_RING);
	say_vring_fd(g->fd, VHOST_SET_VRING_KICK, i, g->kick[i % 2]);
	say_vring_fd(g->fd, VHOST_SET_VRING_CALL, i, g->call[i % 2]);
}

#define FEATURES                                                                                             \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF |                         \
		UINT64_C(1) << VHOST_F_PROTOCOL_FEATURES)

/* The whole handshake with port i, up to rings that run. */
static void boot(struct guest *g, unsigned i)
{
	g->memfd = memory(MEM);
	g->mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
	for (unsigned k = 0; k < 2; k++) {
		g->kick[k] = eventfd(0, EFD_NONBLOCK);
		g->call[k] = eventfd(0, EFD_NONBLOCK);
	}
	g->fd = join(i);
	ask(g->fd, VHOST_GET_FEATURES);
	say(g->fd, VHOST_SET_OWNER, NULL, 0, NULL, 0);
	ask(g->fd, VHOST_GET_PROTOCOL_FEATURES);
	say_u64(g->fd, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTO_REPLY_ACK | 1 << VHOST_PROTO_RARP);
	say_u64(g->fd, VHOST_SET_FEATURES, FEATURES);
	say_memory(g->fd, g->memfd, MEM);
	for (unsigned k = 0; k < 2; k++)
		set_up_vring(g, k);
	for (unsigned k = 0; k < 2; k++)
		say_state(g->fd, VHOST_SET_VRING_ENABLE, k, 1);
}

static void shut(struct guest *g)
{
	leave(g->fd);
	munmap(g->mem, MEM);
	close(g->memfd);
	for (unsigned k = 0; k < 2; k++) {
		close(g->kick[k]);
		close(g->call[k]);
	}
}

/* The guest offers a frame of `len` zero bytes. */
static void guest_sends(struct guest *g, uint32_t len)
{
	struct vring_desc *desc = (struct vring_desc *)(g->mem + TX_RING);
	struct vring_avail *avail = (struct vring_avail *)(g->mem + TX_RING + 4096);

	desc[3] = (struct vring_desc){GPA + BUFFER, VHOST_HDR + len, 0, 0};
	avail->ring[avail->idx % NUM] = 3;
	avail->idx++;
}

static uint16_t poll_port(unsigned i, uint16_t queue)
{
	struct burst *b = &bench->w.burst;

	b->in = &bench->port[i];
	b->queue = queue;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
	vhost_rx(b->in, &bench->w, b);
	if (b->count)
		vhost_complete(b->in, &bench->w, b);
	return b->count;
}

static bool up(unsigned i)
{
	return atomic_load(&bench->port[i].up);
}

/* Does a frame get through? The proof that the port works. */
static void expect_alive(struct guest *g, unsigned i)
{
	assert_true(up(i));
	guest_sends(g, 100);
	assert_int_equal(poll_port(i, 0), 1);
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void link_follows_the_rings(void **state)
{
	struct guest g;

	boot(&g, 0);
	expect_alive(&g, 0);
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 1, 0);
	assert_false(up(0));
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 1, 1);
	expect_alive(&g, 0);
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), UINT64_C(2) << 32 | 1);
	assert_false(up(0));
	set_up_vring(&g, 1);
	assert_true(up(0));
	close(g.fd);
	turns(1);
	assert_false(up(0));
	g.fd = -1;
	shut(&g);
}

static void driver_ok_counts_when_status_is_negotiated(void **state)
{
	struct guest g;

	boot(&g, 0);
	say_u64(g.fd, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTO_STATUS);
	assert_false(up(0));
	say_u64(g.fd, VHOST_SET_STATUS, 7);
	assert_int_equal(ask(g.fd, VHOST_GET_STATUS), 7);
	expect_alive(&g, 0);
	say_u64(g.fd, VHOST_SET_STATUS, 0);
	assert_false(up(0));
	shut(&g);
}

static void next_front_end_is_served(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct guest g;

		boot(&g, 0);
		expect_alive(&g, 0);
		shut(&g);
	}
}

static void answers(void **state)
{
	int fd = join(0);
	uint64_t features = ask(fd, VHOST_GET_FEATURES);

	assert_true((features & FEATURES) == FEATURES);
	assert_true(features >> VIRTIO_NET_F_MQ & 1);
	assert_int_equal(ask(fd, VHOST_GET_QUEUE_NUM), 2);
	assert_int_equal(ask(fd, VHOST_GET_MAX_MEM_SLOTS), VHOST_MEM_SLOTS);
	say_u64(fd, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTO_REPLY_ACK);
	for (uint64_t mtu = 0; mtu < 10000; mtu += 1500) {
		say_flags(fd, VHOST_NET_SET_MTU, VHOST_VERSION | VHOST_NEED_REPLY, &mtu, 8, NULL, 0);
		assert_int_equal(hear(fd, VHOST_NET_SET_MTU), mtu != 1500);
	}
	leave(fd);
}

/* A front-end that asks for an acknowledgement waits for it, also of what ends the agreement to give one. */
static void reset_owner_is_acknowledged(void **state)
{
	struct guest g;

	boot(&g, 0);
	say_flags(g.fd, VHOST_RESET_OWNER, VHOST_VERSION | VHOST_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(hear(g.fd, VHOST_RESET_OWNER), 0);
	assert_false(up(0));
	say_flags(g.fd, VHOST_SET_OWNER, VHOST_VERSION | VHOST_NEED_REPLY, NULL, 0, NULL, 0);
	assert_false(hung_up(g.fd)); /* nor said a word: nothing was agreed on */
	assert_int_equal(errno, EAGAIN);
	shut(&g);
}

static void masked_features_are_not_offered(void **state)
{
	int fd;

	port_vhost_ops.close(&bench->port[0]);
	assert_int_equal(open_port(0, false, 1, NULL), 0);
	fd = join(0);
	assert_int_equal(ask(fd, VHOST_GET_FEATURES) >> VIRTIO_NET_F_MQ & 1, 0); /* one queue */
	leave(fd);
	dev(0)->offered &= ~(UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF);
	fd = join(0);
	say_u64(fd, VHOST_SET_FEATURES, FEATURES);
	assert_true(hung_up(fd));
	leave(fd);
}

static void say_packed_ring(struct guest *g, unsigned i, uint32_t num, uint32_t base)
{
	say_state(g->fd, VHOST_SET_VRING_NUM, i, num);
	say_state(g->fd, VHOST_SET_VRING_BASE, i, base);
	say_vring_fd(g->fd, VHOST_SET_VRING_KICK, i, g->kick[i % 2]);
}

/* Offers a frame at `slot` of the ring that the guest sends by. */
static void guest_sends_packed(struct guest *g, unsigned slot, bool wrap)
{
	struct vring_packed_desc *desc = (struct vring_packed_desc *)(g->mem + TX_RING);

	desc[slot] = (struct vring_packed_desc){GPA + BUFFER, VHOST_HDR + 100, (uint16_t)slot,
		(uint16_t)(1 << (wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED))};
}

/* The base of a packed ring is a slot and a wrap counter; both are kept while the ring does not run. */
static void a_packed_ring_stops_and_goes_on_where_it_was(void **state)
{
	struct guest g;

	port_vhost_ops.close(&bench->port[0]);
	assert_int_equal(open_port(0, false, 1, NULL), 0);
	dev(0)->offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	boot(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, FEATURES | UINT64_C(1) << VIRTIO_F_RING_PACKED);
	for (unsigned i = 0; i < 2; i++)
		say_packed_ring(&g, i, NUM, 1u << 15 | (NUM - 1));
	guest_sends_packed(&g, NUM - 1, true);
	guest_sends_packed(&g, 0, false);
	assert_int_equal(poll_port(0, 0), 2); /* the last slot of one round, the first of the next */
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), (UINT64_C(1) << 16 | 1) << 32 | 1);
	assert_false(up(0));
	guest_sends_packed(&g, 1, false);
	assert_int_equal(poll_port(0, 0), 0);
	say_packed_ring(&g, 1, NUM, 1);
	assert_int_equal(poll_port(0, 0), 1);
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), (UINT64_C(2) << 16 | 2) << 32 | 1);
	shut(&g);
}

static void packed_rings_that_cannot_be_do_not_run(void **state)
{
	static const struct {
		uint32_t num, base;
		bool runs;
	} rings[] = {{NUM, 0, true}, {NUM, NUM, false}, {NUM, 1u << 15 | INT16_MAX, false},
		{1, 1u << 15, false}, {2, 1u << 15 | 1, true}, {VHOST_RING_MAX, 0, false}};
	struct guest g;

	port_vhost_ops.close(&bench->port[0]);
	assert_int_equal(open_port(0, false, 1, NULL), 0);
	dev(0)->offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	boot(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, FEATURES | UINT64_C(1) << VIRTIO_F_RING_PACKED);
	for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		say_packed_ring(&g, 1, rings[i].num, rings[i].base);
		assert_int_equal(up(0), rings[i].runs);
	}
	shut(&g);
}

static void offloads_follow_the_features(void **state)
{
	int fd = join(0);

	say_u64(fd, VHOST_SET_FEATURES,
		UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6);
	assert_int_equal(bench->port[0].offloads, PORT_CSUM | PORT_TSO6);
	say_u64(fd, VHOST_SET_FEATURES, 0);
	assert_int_equal(bench->port[0].offloads, 0);
	leave(fd);
}

/* Half a message, then silence, holds up nobody else; the rest, byte by byte, is understood. */
static void partial_message(void **state)
{
	struct vhost_header header = {VHOST_SET_PROTOCOL_FEATURES, VHOST_VERSION, 8};
	uint64_t value = 1 << VHOST_PROTO_REPLY_ACK;
	uint8_t bytes[sizeof(header) + sizeof(value)];
	struct guest other;
	int fd = join(0);

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &value, sizeof(value));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(say_bytes(fd, bytes + i, 1, NULL, 0), 1);
		turns(1);
		if (i == 5 || i == 15) {
			boot(&other, 1);
			expect_alive(&other, 1);
			shut(&other);
		}
	}
	assert_int_equal(dev(0)->proto_features, value);
	leave(fd);
}

/* The fds come with the first byte, the payload long after. */
static void fds_of_a_message_in_pieces(void **state)
{
	struct vhost_wire_table table = {.count = 1, .region = {{GPA, MEM, UVA, 0}}};
	struct vhost_header header = {
		VHOST_SET_MEM_TABLE, VHOST_VERSION, offsetof(struct vhost_wire_table, region[1])};
	int fd = join(0), memfd = memory(MEM);

	assert_int_equal(say_bytes(fd, &header, 5, &memfd, 1), 5);
	turns(1);
	assert_int_equal(say_bytes(fd, (uint8_t *)&header + 5, 7, NULL, 0), 7);
	turns(1);
	assert_int_equal(say_bytes(fd, &table, header.size, NULL, 0), header.size);
	turns(1);
	assert_int_equal(dev(0)->mem.count, 1);
	close(memfd);
	leave(fd);
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
	{"protocol features not offered", VHOST_SET_PROTOCOL_FEATURES, SIZE(u64), .payload.u64 = 1 << 12},
	{"fd where none belongs", VHOST_SET_FEATURES, SIZE(u64), .payload.u64 = FEATURES, ONE_FD(event_fd)},
	{"ring size 0", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {0, 0}},
	{"ring size 3", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {0, 3}},
	{"ring size 65536", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {0, 65536}},
	{"ring 4 of 4", VHOST_SET_VRING_NUM, SIZE(state), .payload.state = {4, 64}},
	{"ring 4 billion", VHOST_SET_VRING_BASE, SIZE(state), .payload.state = {UINT32_MAX, 0}},
	{"base above 65535", VHOST_SET_VRING_BASE, SIZE(state), .payload.state = {0, 65536}},
	{"base of no ring", VHOST_GET_VRING_BASE, SIZE(state), .payload.state = {200, 0}},
	{"enable with 2", VHOST_SET_VRING_ENABLE, SIZE(state), .payload.state = {0, 2}},
	{"enable no ring", VHOST_SET_VRING_ENABLE, SIZE(state), .payload.state = {4, 1}},
	{"unaligned ring", VHOST_SET_VRING_ADDR, SIZE(addr), .payload.addr = {0, 0, UVA + 8, UVA, UVA, 0}},
	{"address of no ring", VHOST_SET_VRING_ADDR, SIZE(addr), .payload.addr = {9, 0, UVA, UVA, UVA, 0}},
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
		.payload.table = {1, 0, {{GPA, MEM, UVA, 0}}}},
	{"fd without its region", VHOST_SET_MEM_TABLE, .size = 8, ONE_FD(mem_fd)},
	{"half a region", VHOST_SET_MEM_TABLE, .size = 39, .payload.table = {1, 0, {{GPA, MEM, UVA, 0}}},
		ONE_FD(mem_fd)},
	{"empty region", VHOST_SET_MEM_TABLE, .size = 40, .payload.table = {1, 0, {{GPA, 0, UVA, 0}}},
		ONE_FD(mem_fd)},
	{"region past its file", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GPA, MEM, UVA, 0}}}, ONE_FD(small_fd)},
	{"offset past the file", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GPA, MEM, UVA, 4096}}}, ONE_FD(mem_fd)},
	{"region that wraps", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{UINT64_MAX - 4095, MEM, UVA, 0}}}, ONE_FD(mem_fd)},
	{"offset that wraps", VHOST_SET_MEM_TABLE, .size = 40,
		.payload.table = {1, 0, {{GPA, MEM, UVA, UINT64_MAX - 4095}}}, ONE_FD(mem_fd)},
	{"region of no file", VHOST_SET_MEM_TABLE, .size = 40, .payload.table = {1, 0, {{GPA, MEM, UVA, 0}}},
		ONE_FD(event_fd)},
	{"region of a device", VHOST_ADD_MEM_REG, SIZE(slot), .payload.slot = {0, {GPA + MEM, MEM, UVA, 0}},
		ONE_FD(dev_null)},
	{"added region overlaps", VHOST_ADD_MEM_REG, SIZE(slot),
		.payload.slot = {0, {GPA + 4096, MEM, UVA, 0}}, ONE_FD(mem_fd)},
	{"added region without fd", VHOST_ADD_MEM_REG, SIZE(slot),
		.payload.slot = {0, {GPA + MEM, MEM, UVA, 0}}},
	{"removed region unknown", VHOST_REM_MEM_REG, SIZE(slot),
		.payload.slot = {0, {GPA + MEM, MEM, UVA, 0}}},
	{"status 256", VHOST_SET_STATUS, SIZE(u64), .payload.u64 = 256},
};

static void malformed_messages_end_the_connection(void **state)
{
	struct guest g;
	int ends[2];

	event_fd = eventfd(0, EFD_NONBLOCK);
	mem_fd = memory(MEM);
	small_fd = memory(MEM - 4096);
	dev_null = open("/dev/null", O_RDWR);
	assert_int_equal(pipe(ends), 0);
	pipe_end = ends[1];
	for (unsigned i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		uint8_t payload[4096] = {0};

		boot(&g, 0);
		expect_alive(&g, 0);
		memcpy(payload, &s->payload, sizeof(s->payload));
		say_flags(g.fd, s->request, s->flags ? s->flags : VHOST_VERSION, payload, s->size, s->fd,
			s->nfd);
		if (!hung_up(g.fd))
			fail_msg("%s: the connection goes on", s->name);
		assert_false(up(0));
		shut(&g);
	}
	boot(&g, 0);
	expect_alive(&g, 0);
	shut(&g);
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
	int fds[16], fd = join(0), memfd = memory(MEM);

	for (unsigned i = 0; i < 16; i++)
		fds[i] = memfd;
	say(fd, VHOST_SET_MEM_TABLE, &table, sizeof(table), fds, 9);
	assert_true(hung_up(fd));
	leave(fd);
	close(memfd);
}

/* Nine fds in two parts of one message. */
static void too_many_fds_in_pieces(void **state)
{
	struct vhost_header header = {VHOST_SET_MEM_TABLE, VHOST_VERSION, sizeof(struct vhost_wire_table)};
	int fds[8], fd = join(0), memfd = memory(MEM);

	for (unsigned i = 0; i < 8; i++)
		fds[i] = memfd;
	assert_int_equal(say_bytes(fd, &header, 6, fds, 8), 6);
	turns(1);
	assert_int_equal(say_bytes(fd, (uint8_t *)&header + 6, 6, fds, 1), 6);
	assert_true(hung_up(fd));
	leave(fd);
	close(memfd);
}

static void disconnect_half_way(void **state)
{
	struct vhost_header header = {VHOST_SET_MEM_TABLE, VHOST_VERSION, sizeof(struct vhost_wire_table)};
	int fd = join(0), memfd = memory(MEM);
	struct guest g;

	assert_int_equal(say_bytes(fd, &header, 10, &memfd, 1), 10);
	turns(1);
	leave(fd);
	close(memfd);
	boot(&g, 0);
	expect_alive(&g, 0);
	shut(&g);
}

/* Everything a ring rests on may be set anew while it runs; it goes on with what holds then. */
static void settings_of_a_running_ring(void **state)
{
	struct guest g;
	int other;

	boot(&g, 0);
	expect_alive(&g, 0);
	say_memory(g.fd, g.memfd, MEM);
	expect_alive(&g, 0);
	say_addr(g.fd, 1, TX_RING);
	expect_alive(&g, 0);
	say_state(g.fd, VHOST_SET_VRING_NUM, 1, NUM);
	expect_alive(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, FEATURES | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	expect_alive(&g, 0);
	say_vring_fd(g.fd, VHOST_SET_VRING_CALL, 1, -1);
	expect_alive(&g, 0);
	say_vring_fd(g.fd, VHOST_SET_VRING_KICK, 1, -1);
	expect_alive(&g, 0);
	other = memory(MEM);
	say_memory(g.fd, other, 8192); /* the ring's memory is gone */
	assert_false(up(0));
	say_memory(g.fd, g.memfd, MEM); /* and is back */
	expect_alive(&g, 0);
	say_state(g.fd, VHOST_SET_VRING_NUM, 1, 32768); /* so large that it leaves the memory */
	assert_false(up(0));
	say_state(g.fd, VHOST_SET_VRING_NUM, 1, NUM);
	expect_alive(&g, 0);
	close(other);
	shut(&g);
}

static void memory_in_slots(void **state)
{
	struct vhost_wire_slot slot = {.region = {GPA + MEM, MEM, UVA + MEM, 0}};
	struct guest g;

	boot(&g, 0);
	for (unsigned i = 0; i < 20; i++) {
		slot.region.gpa = GPA + (uint64_t)MEM * (i + 1);
		slot.region.uva = UVA + (uint64_t)MEM * (i + 1);
		say(g.fd, VHOST_ADD_MEM_REG, &slot, sizeof(slot), &g.memfd, 1);
	}
	assert_int_equal(dev(0)->mem.count, 21);
	expect_alive(&g, 0);
	say(g.fd, VHOST_REM_MEM_REG, &slot, sizeof(slot), &g.memfd, 1); /* with an fd, as old front-ends do */
	slot.region.gpa -= MEM;
	slot.region.uva -= MEM;
	say(g.fd, VHOST_REM_MEM_REG, &slot, sizeof(slot), NULL, 0);
	assert_int_equal(dev(0)->mem.count, 19);
	expect_alive(&g, 0);
	shut(&g);
}

static struct sigaction guard_action;

/* The file is cut after it was checked: the daemon lives, this port goes down, the other works on. */
static void truncated_memory(void **state)
{
	struct guest g, other;

	sigaction(SIGBUS, &guard_action, NULL); /* cmocka puts its own in place for each test */
	boot(&g, 0);
	boot(&other, 1);
	expect_alive(&g, 0);
	guest_sends(&g, 100);
	assert_int_equal(ftruncate(g.memfd, 0), 0);
	poll_port(0, 0);
	assert_true(atomic_load(&dev(0)->broken));
	expect_alive(&other, 1);
	turns(2);
	assert_false(up(0));
	assert_true(hung_up(g.fd));
	expect_alive(&other, 1);
	shut(&other);
	leave(g.fd);
	boot(&g, 0);
	expect_alive(&g, 0);
	shut(&g);
}

/* A sealed file cannot be cut at all. */
static void memory_is_sealed_where_it_can_be(void **state)
{
	int fd = join(0), memfd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(memfd, MEM), 0);
	say_memory(fd, memfd, MEM);
	assert_int_equal(ftruncate(memfd, 0), -1);
	assert_int_equal(errno, EPERM);
	close(memfd);
	leave(fd);
}

static void answer_nobody_reads(void **state)
{
	struct vhost_header header = {VHOST_GET_FEATURES, VHOST_VERSION, 0};
	int fd = join(0), size = 4096;
	struct guest other;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 100000; i++) {
		if (say_bytes(fd, &header, sizeof(header), NULL, 0) < 0 && errno == EPIPE)
			break;
		if (i % 32 == 0)
			turns(1);
	}
	boot(&other, 1);
	expect_alive(&other, 1);
	shut(&other);
	leave(fd);
	boot(&other, 0);
	expect_alive(&other, 0);
	shut(&other);
}

/* An fd that a write would wait for: blocking, and as full as an eventfd can be. */
static void a_full_call_fd_holds_nobody_up(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	struct guest g;
	uint64_t count;

	boot(&g, 0);
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(
			read(g.call[k], &count, sizeof(count)), sizeof(count)); /* as the ring began */
		assert_int_equal(fcntl(g.call[k], F_SETFL, 0), 0);
		assert_int_equal(write(g.call[k], &full, sizeof(full)), sizeof(full));
	}
	for (unsigned i = 0; i < 10; i++)
		expect_alive(&g, 0);
	assert_int_equal(read(g.call[1], &count, sizeof(count)), sizeof(count));
	assert_true(count >= full);
	expect_alive(&g, 0);
	assert_int_equal(read(g.call[1], &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	shut(&g);
}

static void a_full_call_socket_holds_nobody_up(void **state)
{
	uint64_t ring = 1, word = 0;
	struct guest g;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	boot(&g, 0);
	say(g.fd, VHOST_SET_VRING_CALL, &ring, sizeof(ring), &pair[1], 1);
	while (send(pair[1], &word, sizeof(word), MSG_DONTWAIT) > 0)
		;
	for (unsigned i = 0; i < 10; i++)
		expect_alive(&g, 0);
	close(pair[0]); /* and one that nobody reads raises no SIGPIPE */
	expect_alive(&g, 0);
	shut(&g);
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
	boot(&g, 0);
	say(g.fd, VHOST_SET_BACKEND_REQ_FD, NULL, 0, pair, 1);
	say(g.fd, VHOST_SET_VRING_CALL, &ring, sizeof(ring), &pair[1], 1);
	expect_alive(&g, 0);
	assert_int_equal(recv(pair[0], &called, sizeof(called), MSG_DONTWAIT), sizeof(called));
	assert_int_equal(called, 1);
	shut(&g);
	close(pair[0]);
	close(pair[1]);
}

static void rarp_for_a_migrated_guest(void **state)
{
	static const uint8_t mac[8] = {2, 0, 0, 0, 0, 0x44};
	struct guest g;

	boot(&g, 0);
	say(g.fd, VHOST_SEND_RARP, mac, 8, NULL, 0);
	assert_int_equal(poll_port(0, 0), 1);
	assert_memory_equal(bench->w.burst.frame[0].hdr + HDR_ROOM + 6, mac, 6);
	assert_int_equal(poll_port(0, 0), 0);
	shut(&g);
}

static void second_queue_pair(void **state)
{
	struct guest g;

	boot(&g, 0);
	assert_int_equal(dev(0)->active, 1);
	set_up_vring(&g, 2); /* at the same places: it is only asked whether they run */
	set_up_vring(&g, 3);
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 2, 1);
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 3, 1);
	assert_int_equal(dev(0)->active, 2);
	guest_sends(&g, 60);
	assert_int_equal(poll_port(0, 1), 1);
	shut(&g);
}

/* --- sockets ---------------------------------------------------------------------------------------------
 */

static void stale_socket_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct dp_err err;
	struct guest g;
	int fd;

	port_vhost_ops.close(&bench->port[0]);
	strcpy(address.sun_path, bench->path[0]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(open_port(0, false, 1, &err), -EADDRINUSE);
	assert_null(bench->port[0].priv);
	close(fd); /* the file stays */
	assert_int_equal(open_port(0, false, 1, &err), 0);
	boot(&g, 0);
	expect_alive(&g, 0);
	shut(&g);
}

static void paths_that_cannot_be(void **state)
{
	char kept[64], path[120];
	struct dp_err err;
	int fd;

	port_vhost_ops.close(&bench->port[0]);
	strcpy(kept, bench->path[0]);
	fd = open(kept, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(open_port(0, false, 1, &err), -EEXIST);
	close(fd);
	unlink(kept);
	snprintf(bench->path[0], sizeof(bench->path[0]), "%s/none/0.sock", dir);
	assert_int_equal(open_port(0, false, 1, &err), -ENOENT);
	strcpy(bench->path[0], kept);
	assert_int_equal(open_port(0, false, 9, &err), -EINVAL);
	assert_int_equal(open_port(0, false, 0, &err), -EINVAL);
	memset(path, 'x', sizeof(path));
	path[108] = 0;
	bench->port[0].spec = (struct dp_port){.socket = path, .queues = 1};
	assert_int_equal(port_vhost_ops.open(&bench->port[0], &err), -ENAMETOOLONG);
	assert_string_equal(err.text, "socket: 108 bytes, and a socket's path has at most 107");
	bench->port[0].spec = (struct dp_port){.socket = kept, .queues = 1, .owner = "no-such-user-here"};
	assert_int_equal(port_vhost_ops.open(&bench->port[0], &err), -EINVAL);
	assert_string_equal(err.text, "owner: there is no user no-such-user-here");
	bench->port[0].spec = (struct dp_port){.socket = kept, .queues = 1, .owner = "12abc"};
	assert_int_equal(port_vhost_ops.open(&bench->port[0], &err), -EINVAL);
	bench->port[0].spec = (struct dp_port){.socket = kept, .queues = 1, .group = "4294967296"};
	assert_int_equal(port_vhost_ops.open(&bench->port[0], &err), -EINVAL);
	assert_string_equal(err.text, "group: there is no group 4294967296");
	assert_int_equal(access(kept, F_OK), -1);
}

static void owner_and_mode(void **state)
{
	char path[64];
	struct stat st;

	if (geteuid() != 0)
		skip();
	port_vhost_ops.close(&bench->port[0]);
	strcpy(path, bench->path[0]);
	bench->port[0].spec = (struct dp_port){
		.socket = path, .queues = 1, .owner = "65534", .group = "daemon", .socket_mode = 0642};
	assert_int_equal(port_vhost_ops.open(&bench->port[0], NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 1);
	assert_int_equal(st.st_mode & 0777, 0642);
	port_vhost_ops.close(&bench->port[0]);
}

/* Milliseconds of the timer that port 0 waits for, 0 when it waits for none. */
static unsigned waits_ms(void)
{
	for (unsigned i = 0; i < LOOP_MAX; i++)
		if (bench->loop.item[i].used && bench->loop.item[i].fd < 0)
			return bench->loop.item[i].ms;
	return 0;
}

/* A peer that takes connections and hangs up without a word is met less and less often. */
static void client_tires_of_a_peer_that_hangs_up(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	unsigned met = 0;

	port_vhost_ops.close(&bench->port[0]);
	strcpy(address.sun_path, bench->path[0]);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(open_port(0, true, 1, NULL), 0);
	while (waits_ms() != 1000 && met < 1000) {
		int fd = accept(listener, NULL, NULL);

		met += fd >= 0;
		if (fd >= 0)
			close(fd);
		loop_turn(&bench->loop, 20);
	}
	assert_in_range(met, 50, 200);
	close(listener);
	unlink(bench->path[0]);
}

static void client_connects_when_somebody_listens(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener;

	port_vhost_ops.close(&bench->port[0]);
	assert_int_equal(open_port(0, true, 1, NULL), 0);
	strcpy(address.sun_path, bench->path[0]);
	for (unsigned round = 0; round < 2; round++) {
		int fd = -1;

		listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(listen(listener, 1), 0);
		for (unsigned i = 0; i < 1000 && fd < 0; i++) {
			loop_turn(&bench->loop, 20);
			fd = accept(listener, NULL, NULL);
		}
		assert_true(fd >= 0);
		fcntl(fd, F_SETFL, 0);
		assert_true(ask(fd, VHOST_GET_FEATURES) & FEATURES);
		close(fd);
		close(listener);
		unlink(bench->path[0]);
		turns(2);
	}
}

/* --- noise -----------------------------------------------------------------------------------------------
 */

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
		payload.addr = (struct vhost_wire_addr){index, 0, UVA + (uint64_t)random() % MEM / 16 * 16,
			UVA + (uint64_t)random() % MEM / 4 * 4, UVA + (uint64_t)random() % MEM / 4 * 4, 0};
		break;
	case VHOST_SET_MEM_TABLE:
		header.size = 40;
		payload.table =
			(struct vhost_wire_table){1, 0, {{GPA, (uint64_t)random() % (2 * MEM), UVA, 0}}};
		nfd = 1;
		fd = g->memfd;
		break;
	case VHOST_ADD_MEM_REG:
	case VHOST_REM_MEM_REG:
		header.size = sizeof(payload.slot);
		payload.slot = (struct vhost_wire_slot){0, {GPA + MEM * ((uint64_t)random() % 3), MEM,
								   UVA + MEM, (uint64_t)random() % 2 * 4096}};
		nfd = 1;
		fd = g->memfd;
		break;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
		payload.u64 = index;
		nfd = 1;
		break;
	case VHOST_SET_FEATURES:
		payload.u64 = FEATURES | (uint64_t)random() << 4;
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

		boot(&g, 0);
		for (unsigned i = 0; i < MEM / 512; i++)
			((uint32_t *)g.mem)[(size_t)random() % (MEM / 4)] = (uint32_t)random();
		for (unsigned i = 0; i < 12 && !hung_up(g.fd); i++) {
			say_something(&g);
			turns(1);
			for (unsigned q = 0; q < 2; q++)
				poll_port(0, (uint16_t)q);
			vhost_tx(&bench->port[0], &bench->w, frames, 1);
			vhost_arm(&bench->port[0], 0, i % 2);
			links += up(0);
			while (recv(g.fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
				;
		}
		close(g.fd);
		munmap(g.mem, MEM);
		close(g.memfd);
		for (unsigned k = 0; k < 2; k++) {
			close(g.kick[k]);
			close(g.call[k]);
		}
		turns(2);
		assert_false(up(0));
	}
	assert_true(links > 100); /* noise that never got anywhere would show nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(link_follows_the_rings),
		T(driver_ok_counts_when_status_is_negotiated),
		T(next_front_end_is_served),
		T(answers),
		T(reset_owner_is_acknowledged),
		T(masked_features_are_not_offered),
		T(a_packed_ring_stops_and_goes_on_where_it_was),
		T(packed_rings_that_cannot_be_do_not_run),
		T(offloads_follow_the_features),
		T(partial_message),
		T(fds_of_a_message_in_pieces),
		T(malformed_messages_end_the_connection),
		T(too_many_fds),
		T(too_many_fds_in_pieces),
		T(disconnect_half_way),
		T(settings_of_a_running_ring),
		T(memory_in_slots),
		T(truncated_memory),
		T(memory_is_sealed_where_it_can_be),
		T(answer_nobody_reads),
		T(a_full_call_fd_holds_nobody_up),
		T(a_full_call_socket_holds_nobody_up),
		T(called_through_a_socket),
		T(rarp_for_a_migrated_guest),
		T(second_queue_pair),
		T(stale_socket_is_replaced),
		T(paths_that_cannot_be),
		T(owner_and_mode),
		T(client_tires_of_a_peer_that_hangs_up),
		T(client_connects_when_somebody_listens),
		T(random_handshakes),
	};
	static char page[4096];
	int failed;

	if (!mkdtemp(dir))
		return 1;
	vhost_guard_clear(vhost_guard_set(page, sizeof(page), &(struct vhost_guard){.event_fd = -1}));
	sigaction(SIGBUS, NULL, &guard_action);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
