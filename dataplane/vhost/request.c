/* request.c: what each message of a front-end does. One function a message, listed in the table at the
 * end. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stddef.h>
#include <unistd.h>

#include "dataplane/vhost/dev.h"

enum { REFUSED = 1 };

#define PROTO_OFFERED                                                                                        \
	(1u << VHOST_PROTO_RARP | 1u << VHOST_PROTO_REPLY_ACK | 1u << VHOST_PROTO_NET_MTU |                  \
		1u << VHOST_PROTO_BACKEND_REQ | 1u << VHOST_PROTO_MQ |                                       \
		1u << VHOST_PROTO_CONFIGURE_MEM_SLOTS | 1u << VHOST_PROTO_STATUS |                           \
		1u << VHOST_PROTO_INFLIGHT_SHMFD)

enum { MTU_MIN = 68 }; /* RFC 791 */

static int get_features(struct vhost_dev *dev, struct vhost_msg *msg)
{
	msg->payload.u64 = dev->offered;
	return 0;
}

static int set_features(struct vhost_dev *dev, struct vhost_msg *msg)
{
	if (msg->payload.u64 & ~dev->offered)
		return -EINVAL;
	if (msg->payload.u64 == dev->features)
		return 0;
	vhost_dev_pause_all(dev);
	dev->features = msg->payload.u64;
	return vhost_dev_resume(dev);
}

static int set_owner(struct vhost_dev *dev, struct vhost_msg *msg)
{
	return 0;
}

static int reset_owner(struct vhost_dev *dev, struct vhost_msg *msg)
{
	vhost_dev_reset(dev);
	return 0;
}

static void show_memory(struct vhost_dev *dev)
{
	dev->port->guest.memory = vhost_mem_size(&dev->mem);
}

/* -EFBIG: beyond the port's limit; no other message fails so. */
static int add_memory(struct vhost_dev *dev, const struct vhost_wire_region *region, int fd)
{
	int rc;

	dev->mem.limit = vhost_mem_limit(dev->port->spec.memory_mb);
	rc = vhost_mem_add(&dev->mem, region, fd, &dev->guard);
	show_memory(dev);
	return rc;
}

static int set_mem_table(struct vhost_dev *dev, struct vhost_msg *msg)
{
	const struct vhost_wire_table *table = &msg->payload.table;
	int rc = 0;

	if (table->count > VHOST_TABLE_REGIONS || table->count != msg->nfd ||
		msg->header.size < offsetof(struct vhost_wire_table, region[table->count]))
		return -EINVAL;
	vhost_dev_pause_all(dev);
	vhost_mem_clear(&dev->mem);
	for (unsigned i = 0; i < table->count && !rc; i++)
		rc = add_memory(dev, &table->region[i], msg->fd[i]);
	return rc ? rc : vhost_dev_resume(dev);
}

static int get_max_mem_slots(struct vhost_dev *dev, struct vhost_msg *msg)
{
	msg->payload.u64 = VHOST_MEM_SLOTS;
	return 0;
}

static int add_mem_reg(struct vhost_dev *dev, struct vhost_msg *msg)
{
	int rc;

	vhost_dev_pause_all(dev);
	rc = add_memory(dev, &msg->payload.slot.region, msg->fd[0]);
	return vhost_dev_resume(dev) ? -ENOMEM : rc;
}

static int rem_mem_reg(struct vhost_dev *dev, struct vhost_msg *msg)
{
	int rc;

	if (msg->nfd > 1) /* old front-ends send the region's fd here as well */
		return -EINVAL;
	vhost_dev_pause_all(dev);
	rc = vhost_mem_del(&dev->mem, &msg->payload.slot.region);
	show_memory(dev);
	if (vhost_dev_resume(dev) < 0)
		return -ENOMEM;
	/* QEMU before 8.1 asks once for each queue pair, here as for adding one */
	return rc < 0 ? REFUSED : 0;
}

/* The ring that a message is about, NULL when there is none of that index. */
static struct vhost_vring *vring(struct vhost_dev *dev, uint32_t index)
{
	return index < dev->nvring ? &dev->vring[index] : NULL;
}

static int set_vring_num(struct vhost_dev *dev, struct vhost_msg *msg)
{
	struct vhost_vring *v = vring(dev, msg->payload.state.index);
	uint32_t num = msg->payload.state.num;

	if (!v || !num || num > VHOST_RING_MAX || (num & (num - 1)))
		return -EINVAL;
	vhost_dev_pause(dev, msg->payload.state.index);
	v->num = num;
	return vhost_dev_resume(dev);
}

static int set_vring_addr(struct vhost_dev *dev, struct vhost_msg *msg)
{
	const struct vhost_wire_addr *addr = &msg->payload.addr;
	struct vhost_vring *v = vring(dev, addr->index);

	if (!v || addr->desc % VRING_DESC_ALIGN_SIZE || addr->avail % VRING_AVAIL_ALIGN_SIZE ||
		addr->used % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	vhost_dev_pause(dev, addr->index);
	v->desc = addr->desc;
	v->avail = addr->avail;
	v->used = addr->used;
	v->has_addr = true;
	return vhost_dev_resume(dev);
}

static bool is_packed(const struct vhost_dev *dev)
{
	return dev->features >> VIRTIO_F_RING_PACKED & 1;
}

static int set_vring_base(struct vhost_dev *dev, struct vhost_msg *msg)
{
	struct vhost_vring *v = vring(dev, msg->payload.state.index);
	bool running = v && v->ring;

	if (!v || (!is_packed(dev) && msg->payload.state.num > UINT16_MAX))
		return -EINVAL;
	vhost_dev_pause(dev, msg->payload.state.index);
	if (running) /* so it is not the ring that another back-end left: it moves there */
		vhost_dev_forget(dev, msg->payload.state.index);
	v->base = msg->payload.state.num;
	return vhost_dev_resume(dev);
}

static void replace_kick(int *kick, int fd)
{
	if (*kick >= 0)
		close(*kick);
	*kick = fd;
}

static int get_vring_base(struct vhost_dev *dev, struct vhost_msg *msg)
{
	struct vhost_vring *v = vring(dev, msg->payload.state.index);

	if (!v)
		return -EINVAL;
	vhost_dev_pause(dev, msg->payload.state.index);
	vhost_dev_forget(dev, msg->payload.state.index);
	v->started = false;
	replace_kick(&v->kick, -1);
	msg->payload.state.num = v->base;
	return vhost_dev_resume(dev);
}

/* The ring of SET_VRING_KICK or CALL, NULL when the message has not the fd that it says it has. */
static struct vhost_vring *vring_of_fd(struct vhost_dev *dev, const struct vhost_msg *msg)
{
	return msg->nfd == !(msg->payload.u64 & VHOST_VRING_NO_FD)
		       ? vring(dev, msg->payload.u64 & VHOST_VRING_INDEX)
		       : NULL;
}

static int set_vring_kick(struct vhost_dev *dev, struct vhost_msg *msg)
{
	struct vhost_vring *v = vring_of_fd(dev, msg);

	if (!v || (msg->nfd && !vhost_is_eventfd(msg->fd[0])))
		return -EINVAL;
	vhost_dev_pause(dev, v - dev->vring);
	replace_kick(&v->kick, msg->nfd ? msg->fd[0] : -1);
	msg->fd[0] = -1;
	v->started = true;
	return vhost_dev_resume(dev);
}

static int set_vring_call(struct vhost_dev *dev, struct vhost_msg *msg)
{
	struct vhost_vring *v = vring_of_fd(dev, msg);
	struct vhost_call call = {.fd = -1};

	if (!v || (msg->nfd && vhost_call_take(msg->fd[0], &call) < 0))
		return -EINVAL;
	vhost_dev_pause(dev, v - dev->vring);
	vhost_call_close(&v->call, dev->closer);
	v->call = call;
	msg->fd[0] = -1;
	return vhost_dev_resume(dev);
}

/* Errors of a ring are counted and shown by the switch; nobody writes to this one. */
static int set_vring_err(struct vhost_dev *dev, struct vhost_msg *msg)
{
	return vring(dev, msg->payload.u64 & VHOST_VRING_INDEX) && msg->nfd <= 1 ? 0 : -EINVAL;
}

static int get_protocol_features(struct vhost_dev *dev, struct vhost_msg *msg)
{
	msg->payload.u64 = PROTO_OFFERED;
	return 0;
}

static int set_protocol_features(struct vhost_dev *dev, struct vhost_msg *msg)
{
	if (msg->payload.u64 & ~(uint64_t)PROTO_OFFERED)
		return -EINVAL;
	vhost_dev_pause_all(dev);
	dev->proto_features = msg->payload.u64;
	return vhost_dev_resume(dev);
}

static int get_queue_num(struct vhost_dev *dev, struct vhost_msg *msg)
{
	msg->payload.u64 = dev->nvring / 2;
	return 0;
}

static int set_vring_enable(struct vhost_dev *dev, struct vhost_msg *msg)
{
	struct vhost_vring *v = vring(dev, msg->payload.state.index);

	if (!v || msg->payload.state.num > 1)
		return -EINVAL;
	v->enabled = msg->payload.state.num;
	if (!v->enabled)
		vhost_dev_pause(dev, msg->payload.state.index);
	return vhost_dev_resume(dev);
}

static int send_rarp(struct vhost_dev *dev, struct vhost_msg *msg)
{
	uint64_t mac = msg->payload.u64 & ((UINT64_C(1) << 48) - 1);

	if (!mac || (mac & 1)) /* the first byte on the wire is the lowest: a multicast MAC has nobody to
				  announce */
		return REFUSED;
	atomic_store_explicit(&dev->queue[0].rarp, VHOST_RARP | mac, memory_order_relaxed);
	return 0;
}

static int net_set_mtu(struct vhost_dev *dev, struct vhost_msg *msg)
{
	return msg->payload.u64 >= MTU_MIN && msg->payload.u64 <= dev->port->mtu ? 0 : REFUSED;
}

/* User-Mode Linux 6.1 has no interrupt for its rings where a back-end does not take this fd. */
static int set_backend_req_fd(struct vhost_dev *dev, struct vhost_msg *msg)
{
	vhost_closer_close(dev->closer, dev->request_fd);
	dev->request_fd = msg->fd[0];
	msg->fd[0] = -1;
	return 0;
}

static int get_inflight_fd(struct vhost_dev *dev, struct vhost_msg *msg)
{
	int rc = vhost_inflight_make(&msg->payload.inflight, is_packed(dev), dev->nvring, &msg->fd[0]);

	if (rc < 0)
		return rc;
	msg->nfd = 1;
	msg->answer_fds = 1;
	return 0;
}

static int set_inflight_fd(struct vhost_dev *dev, struct vhost_msg *msg)
{
	int rc;

	vhost_dev_pause_all(dev);
	rc = vhost_inflight_set(
		&dev->inflight, &msg->payload.inflight, is_packed(dev), dev->nvring, msg->fd[0], &dev->guard);
	return rc < 0 ? rc : vhost_dev_resume(dev);
}

static int set_status(struct vhost_dev *dev, struct vhost_msg *msg)
{
	if (msg->payload.u64 > UINT8_MAX)
		return -EINVAL;
	dev->status = (uint8_t)msg->payload.u64;
	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK) && (dev->proto_features >> VHOST_PROTO_STATUS & 1)) {
		vhost_dev_pause_all(dev);
		for (unsigned i = 0; i < dev->nvring && !dev->status; i++)
			vhost_dev_forget(dev, i);
	}
	return vhost_dev_resume(dev);
}

static int get_status(struct vhost_dev *dev, struct vhost_msg *msg)
{
	msg->payload.u64 = dev->status;
	return 0;
}

enum { ANY = 255 }; /* the function checks the number of fds */

struct request {
	const char *name;
	int (*fn)(struct vhost_dev *dev, struct vhost_msg *msg);
	uint16_t size; /* of the payload; the least where it varies */
	uint16_t most; /* 0: exactly `size` */
	uint8_t fds;
	uint8_t reply; /* bytes of the payload that are the answer; with `most` no more than were asked with */
};

static const struct request requests[VHOST_REQUESTS] = {
	[VHOST_GET_FEATURES] = {"GET_FEATURES", .fn = get_features, .reply = 8},
	[VHOST_SET_FEATURES] = {"SET_FEATURES", .fn = set_features, .size = 8},
	[VHOST_SET_OWNER] = {"SET_OWNER", .fn = set_owner},
	[VHOST_RESET_OWNER] = {"RESET_OWNER", .fn = reset_owner},
	[VHOST_SET_MEM_TABLE] = {"SET_MEM_TABLE", .fn = set_mem_table, .size = 8,
		.most = sizeof(struct vhost_wire_table), .fds = ANY},
	[VHOST_SET_VRING_NUM] = {"SET_VRING_NUM", .fn = set_vring_num, .size = 8},
	[VHOST_SET_VRING_ADDR] = {"SET_VRING_ADDR", .fn = set_vring_addr,
		.size = sizeof(struct vhost_wire_addr)},
	[VHOST_SET_VRING_BASE] = {"SET_VRING_BASE", .fn = set_vring_base, .size = 8},
	[VHOST_GET_VRING_BASE] = {"GET_VRING_BASE", .fn = get_vring_base, .size = 8, .reply = 8},
	[VHOST_SET_VRING_KICK] = {"SET_VRING_KICK", .fn = set_vring_kick, .size = 8, .fds = ANY},
	[VHOST_SET_VRING_CALL] = {"SET_VRING_CALL", .fn = set_vring_call, .size = 8, .fds = ANY},
	[VHOST_SET_VRING_ERR] = {"SET_VRING_ERR", .fn = set_vring_err, .size = 8, .fds = ANY},
	[VHOST_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", .fn = get_protocol_features, .reply = 8},
	[VHOST_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", .fn = set_protocol_features, .size = 8},
	[VHOST_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", .fn = get_queue_num, .reply = 8},
	[VHOST_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", .fn = set_vring_enable, .size = 8},
	[VHOST_SEND_RARP] = {"SEND_RARP", .fn = send_rarp, .size = 8},
	[VHOST_NET_SET_MTU] = {"NET_SET_MTU", .fn = net_set_mtu, .size = 8},
	[VHOST_SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", .fn = set_backend_req_fd, .fds = 1},
	[VHOST_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", .fn = get_inflight_fd,
		.size = offsetof(struct vhost_wire_inflight, padding),
		.most = sizeof(struct vhost_wire_inflight), .reply = sizeof(struct vhost_wire_inflight)},
	[VHOST_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", .fn = set_inflight_fd,
		.size = offsetof(struct vhost_wire_inflight, padding),
		.most = sizeof(struct vhost_wire_inflight), .fds = 1},
	[VHOST_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", .fn = get_max_mem_slots, .reply = 8},
	[VHOST_ADD_MEM_REG] = {"ADD_MEM_REG", .fn = add_mem_reg, .size = sizeof(struct vhost_wire_slot),
		.fds = 1},
	[VHOST_REM_MEM_REG] = {"REM_MEM_REG", .fn = rem_mem_reg, .size = sizeof(struct vhost_wire_slot),
		.fds = ANY},
	[VHOST_SET_STATUS] = {"SET_STATUS", .fn = set_status, .size = 8},
	[VHOST_GET_STATUS] = {"GET_STATUS", .fn = get_status, .reply = 8},
};

const char *vhost_request_name(uint32_t request)
{
	return request < VHOST_REQUESTS && requests[request].name ? requests[request].name
								  : "unknown request";
}

int vhost_request(struct vhost_dev *dev, struct vhost_msg *msg, unsigned *reply)
{
	const struct request *q;
	uint32_t size = msg->header.size;
	/* asked before: what takes back all that was agreed on is acknowledged as well */
	bool acks = dev->proto_features >> VHOST_PROTO_REPLY_ACK & 1;
	int rc;

	*reply = 0;
	msg->answer_fds = 0;
	if (msg->header.request >= VHOST_REQUESTS || !requests[msg->header.request].fn)
		return -ENOTSUP;
	q = &requests[msg->header.request];
	if (size < q->size || size > (q->most ? q->most : q->size) || (q->fds != ANY && msg->nfd != q->fds))
		return -EINVAL;
	rc = q->fn(dev, msg);
	if (rc < 0)
		return rc;
	*reply = q->most && q->reply > size ? size : q->reply;
	acks |= dev->proto_features >> VHOST_PROTO_REPLY_ACK & 1;
	if (!*reply && acks && (msg->header.flags & VHOST_NEED_REPLY)) {
		msg->payload.u64 = rc;
		*reply = sizeof(msg->payload.u64);
	}
	return rc;
}
