/*
 * The order is that of a real driver: features, protocol features, memory, rings, enable, DRIVER_OK. Where
 * the back-end can acknowledge a request it is asked to, so that a refusal is reported at the request it
 * belongs to.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/front/front_private.h"

#define PROTOCOL_WANTED                                                                                      \
	(FRONT_BIT(FRONT_PROTOCOL_MQ) | FRONT_BIT(FRONT_PROTOCOL_REPLY_ACK) |                                \
		FRONT_BIT(FRONT_PROTOCOL_STATUS))

static const char *reason(int rc)
{
	switch (rc) {
	case -ENOTCONN:
		return "the back-end hung up";
	case -ETIMEDOUT:
		return "no answer in time";
	case -EPROTO:
		return "the answer makes no sense";
	default:
		return strerror(-rc);
	}
}

static int send_request(struct front *f, struct front_wire *msg, int fd)
{
	int rc;

	msg->flags = FRONT_WIRE_VERSION;
	if (f->protocol & FRONT_BIT(FRONT_PROTOCOL_REPLY_ACK))
		msg->flags |= FRONT_WIRE_NEED_REPLY;
	rc = front_wire_send(f->socket, msg, &fd, fd >= 0);
	return rc < 0 ? front_fail(f, rc, "%s: %s", front_wire_name(msg->request), reason(rc)) : 0;
}

static int receive_reply(struct front *f, struct front_wire *msg)
{
	uint32_t asked = msg->request;
	int rc = front_wire_receive(f->socket, msg);

	if (rc == 0 && (msg->request != asked || !(msg->flags & FRONT_WIRE_REPLY)))
		rc = -EPROTO;
	return rc < 0 ? front_fail(f, rc, "%s: %s", front_wire_name(asked), reason(rc)) : 0;
}

/* A request that has no answer of its own; acknowledged where REPLY_ACK was agreed on. */
static int set(struct front *f, struct front_wire *msg, int fd)
{
	int rc = send_request(f, msg, fd);

	if (rc < 0 || !(f->protocol & FRONT_BIT(FRONT_PROTOCOL_REPLY_ACK)))
		return rc;
	rc = receive_reply(f, msg);
	if (rc == 0 && msg->body.value != 0)
		return front_fail(f, -EPROTO, "%s: the back-end refused it", front_wire_name(msg->request));
	return rc;
}

static int set_value(struct front *f, uint32_t request, uint64_t value, int fd)
{
	struct front_wire msg = {.request = request, .size = sizeof(msg.body.value), .body.value = value};

	return set(f, &msg, fd);
}

static int set_state(struct front *f, uint32_t request, unsigned ring, uint32_t value)
{
	struct front_wire msg = {.request = request,
		.size = sizeof(msg.body.state),
		.body.state = {.index = ring, .value = value}};

	return set(f, &msg, -1);
}

static int get_value(struct front *f, uint32_t request, uint64_t *value)
{
	struct front_wire msg = {.request = request};
	int rc = send_request(f, &msg, -1);

	if (rc == 0)
		rc = receive_reply(f, &msg);
	*value = msg.body.value;
	return rc;
}

static int agree_on_features(struct front *f)
{
	uint64_t offered, queues = 1, wanted = f->opt.features;
	int rc = get_value(f, FRONT_GET_FEATURES, &offered);

	if (rc < 0)
		return rc;
	if (!(offered & FRONT_BIT(VIRTIO_F_VERSION_1)))
		return front_fail(f, -EPROTO, "features: the back-end lacks VERSION_1");
	f->features = offered & (wanted | FRONT_BIT(FRONT_F_PROTOCOL_FEATURES));
	if (f->opt.pairs == 1)
		f->features &= ~FRONT_BIT(VIRTIO_NET_F_MQ);
	if (f->features & FRONT_BIT(FRONT_F_PROTOCOL_FEATURES)) {
		rc = get_value(f, FRONT_GET_PROTOCOL_FEATURES, &offered);
		if (rc == 0)
			rc = set_value(f, FRONT_SET_PROTOCOL_FEATURES, offered & PROTOCOL_WANTED, -1);
		if (rc < 0)
			return rc;
		f->protocol = offered & PROTOCOL_WANTED;
	}
	if (f->opt.pairs > 1 && (f->protocol & FRONT_BIT(FRONT_PROTOCOL_MQ)))
		rc = get_value(f, FRONT_GET_QUEUE_NUM, &queues);
	if (rc == 0 && f->opt.pairs > queues)
		rc = front_fail(f, -EPROTO, "queues: %u pairs wanted, the back-end has %u", f->opt.pairs,
			(unsigned)queues);
	return rc;
}

static int share_memory(struct front *f)
{
	struct front_wire msg = {
		.request = FRONT_SET_MEM_TABLE, .size = 8 + sizeof(msg.body.memory.region[0])};

	msg.body.memory.count = 1;
	msg.body.memory.region[0] = (struct front_wire_region){.guest_address = FRONT_GUEST_BASE,
		.size = f->memory.size,
		.user_address = (uintptr_t)f->memory.base};
	return set(f, &msg, f->memory.fd);
}

static void close_eventfds(struct front_ring *r)
{
	if (r->kick >= 0)
		close(r->kick);
	if (r->call >= 0)
		close(r->call);
	r->kick = r->call = -1;
}

/* The base of a packed ring that was never used: slot 0, wrap counter 1. */
enum { FRONT_FIRST_WRAP = 1 << 15 };

static int set_up_ring(struct front *f, unsigned index)
{
	struct front_ring *r = &f->rings[index];
	struct front_wire msg = {.request = FRONT_SET_VRING_ADDR, .size = sizeof(msg.body.address)};
	bool packed = f->features & FRONT_BIT(VIRTIO_F_RING_PACKED);
	int rc;

	front_ring_reset(r, f->memory.base, FRONT_GUEST_BASE, index % 2 == 0,
		f->features & FRONT_BIT(VIRTIO_RING_F_EVENT_IDX), packed);
	r->mergeable = f->features & FRONT_BIT(VIRTIO_NET_F_MRG_RXBUF);
	close_eventfds(r);
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->kick < 0 || r->call < 0)
		return front_fail(f, -errno, "eventfd: %s", strerror(errno));
	msg.body.address = (struct front_wire_address){.index = index,
		.desc = (uintptr_t)r->desc,
		.avail = packed ? (uintptr_t)r->event : (uintptr_t)r->avail,
		.used = packed ? (uintptr_t)r->backend_event : (uintptr_t)r->used};
	if ((rc = set_state(f, FRONT_SET_VRING_NUM, index, r->size)) < 0 ||
		(rc = set_state(f, FRONT_SET_VRING_BASE, index, packed ? FRONT_FIRST_WRAP : 0)) < 0 ||
		(rc = set(f, &msg, -1)) < 0 ||
		(rc = set_value(f, FRONT_SET_VRING_CALL, index, r->call)) < 0 ||
		(rc = set_value(f, FRONT_SET_VRING_KICK, index, r->kick)) < 0)
		return rc;
	return 0;
}

int front_enable(struct front *f, unsigned pair, bool on)
{
	int rc = 0;

	/* Without PROTOCOL_FEATURES rings are born enabled and the request does not exist. */
	if (!(f->features & FRONT_BIT(FRONT_F_PROTOCOL_FEATURES)))
		return 0;
	for (unsigned i = 2 * pair; i < 2 * pair + 2 && rc == 0; i++)
		rc = set_state(f, FRONT_SET_VRING_ENABLE, i, on);
	return rc;
}

int front_set_status(struct front *f, uint8_t status)
{
	if (!(f->protocol & FRONT_BIT(FRONT_PROTOCOL_STATUS)))
		return 0;
	return set_value(f, FRONT_SET_STATUS, status, -1);
}

int front_handshake(struct front *f)
{
	static const uint8_t awake = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint64_t barrier;
	int rc;

	f->features = f->protocol = 0;
	if ((rc = send_request(f, &(struct front_wire){.request = FRONT_SET_OWNER}, -1)) < 0 ||
		(rc = agree_on_features(f)) < 0 || (rc = front_set_status(f, 0)) < 0 ||
		(rc = front_set_status(f, awake)) < 0 ||
		(rc = set_value(f, FRONT_SET_FEATURES, f->features, -1)) < 0 ||
		(rc = front_set_status(f, awake | VIRTIO_CONFIG_S_FEATURES_OK)) < 0 ||
		(rc = share_memory(f)) < 0)
		return rc;
	for (unsigned i = 0; i < 2 * f->opt.pairs; i++)
		if ((rc = set_up_ring(f, i)) < 0)
			return rc;
	for (unsigned i = 0; i < f->opt.pairs; i++)
		if ((rc = front_enable(f, i, true)) < 0)
			return rc;
	rc = front_set_status(f, awake | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	/* Requests are handled in order: an answer to this one says that all the others have been seen. */
	return rc < 0 ? rc : get_value(f, FRONT_GET_FEATURES, &barrier);
}

int front_handshake_stop(struct front *f)
{
	int rc = 0;

	for (unsigned i = 0; i < f->opt.pairs && rc == 0; i++)
		rc = front_enable(f, i, false);
	for (unsigned i = 0; i < 2 * f->opt.pairs && rc == 0; i++) {
		struct front_wire msg = {.request = FRONT_GET_VRING_BASE,
			.size = sizeof(msg.body.state),
			.body.state.index = i};

		rc = send_request(f, &msg, -1);
		if (rc == 0)
			rc = receive_reply(f, &msg);
	}
	return rc;
}
