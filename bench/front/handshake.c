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

#include "bench/front/private.h"

#define PROTOCOL_WANTED                                                                                      \
	(FRONT_BIT(FRONT_PROTOCOL_MQ) | FRONT_BIT(FRONT_PROTOCOL_REPLY_ACK) |                                \
		FRONT_BIT(FRONT_PROTOCOL_STATUS))

static int agree_on_features(struct front *f)
{
	uint64_t offered, queues = 1, wanted = f->opt.features;
	uint64_t protocol =
		PROTOCOL_WANTED | (f->opt.slots ? FRONT_BIT(FRONT_PROTOCOL_CONFIGURE_MEM_SLOTS) : 0);
	int rc = front_request_get(f, FRONT_GET_FEATURES, &offered);

	if (rc < 0)
		return rc;
	if (!(offered & FRONT_BIT(VIRTIO_F_VERSION_1)))
		return front_fail(f, -EPROTO, "features: the back-end lacks VERSION_1");
	f->features = offered & (wanted | FRONT_BIT(FRONT_F_PROTOCOL_FEATURES));
	if (f->opt.pairs == 1)
		f->features &= ~FRONT_BIT(VIRTIO_NET_F_MQ);
	if (f->features & FRONT_BIT(FRONT_F_PROTOCOL_FEATURES)) {
		rc = front_request_get(f, FRONT_GET_PROTOCOL_FEATURES, &offered);
		if (rc == 0)
			rc = front_request_value(f, FRONT_SET_PROTOCOL_FEATURES, offered & protocol, -1);
		if (rc < 0)
			return rc;
		f->protocol = offered & protocol;
	}
	if (f->opt.pairs > 1 && (f->protocol & FRONT_BIT(FRONT_PROTOCOL_MQ)))
		rc = front_request_get(f, FRONT_GET_QUEUE_NUM, &queues);
	if (rc == 0 && f->opt.pairs > queues)
		rc = front_fail(f, -EPROTO, "queues: %u pairs wanted, the back-end has %u", f->opt.pairs,
			(unsigned)queues);
	return rc;
}

static struct front_wire_region region_of(const struct front *f, unsigned memory)
{
	return (struct front_wire_region){.guest_address = front_guest_base(f, memory),
		.size = f->memory[memory].size,
		.user_address = (uintptr_t)f->memory[memory].base};
}

int front_share_memory(struct front *f)
{
	struct front_wire msg = {.request = FRONT_SET_MEM_TABLE, .size = 8};
	int fds[FRONT_MEMORIES];

	for (unsigned i = 0; i < FRONT_MEMORIES && f->memory[i].base; i++) {
		msg.body.memory.region[i] = region_of(f, i);
		fds[i] = f->memory[i].fd;
		msg.body.memory.count++;
		msg.size += sizeof(msg.body.memory.region[i]);
	}
	return front_request_set(f, &msg, fds, msg.body.memory.count);
}

int front_share_more(struct front *f)
{
	struct front_wire msg = {.request = FRONT_ADD_MEM_REG, .size = sizeof(msg.body.slot)};

	if (!(f->protocol & FRONT_BIT(FRONT_PROTOCOL_CONFIGURE_MEM_SLOTS)))
		return front_share_memory(f);
	msg.body.slot.region = region_of(f, 1);
	return front_request_set(f, &msg, &f->memory[1].fd, 1);
}

void front_close_eventfds(struct front_ring *r)
{
	if (r->kick >= 0)
		close(r->kick);
	if (r->call >= 0)
		close(r->call);
	r->kick = r->call = -1;
}

/* The base of a packed ring that was never used: slot 0, wrap counter 1. */
enum { FRONT_FIRST_WRAP = 1 << 15 };

int front_tell_ring(struct front *f, unsigned index, uint32_t base)
{
	struct front_ring *r = &f->rings[index];
	struct front_wire msg = {.request = FRONT_SET_VRING_ADDR, .size = sizeof(msg.body.address)};
	int rc;

	msg.body.address = (struct front_wire_address){.index = index,
		.desc = (uintptr_t)r->desc,
		.avail = r->packed ? (uintptr_t)r->event : (uintptr_t)r->avail,
		.used = r->packed ? (uintptr_t)r->backend_event : (uintptr_t)r->used};
	if ((rc = front_request_state(f, FRONT_SET_VRING_NUM, index, r->size)) < 0 ||
		(rc = front_request_state(f, FRONT_SET_VRING_BASE, index, base)) < 0 ||
		(rc = front_request_set(f, &msg, NULL, 0)) < 0 ||
		(rc = front_request_value(f, FRONT_SET_VRING_CALL, index, r->call)) < 0 ||
		(rc = front_request_value(f, FRONT_SET_VRING_KICK, index, r->kick)) < 0)
		return rc;
	return 0;
}

static int set_up_ring(struct front *f, unsigned index)
{
	struct front_ring *r = &f->rings[index];
	bool packed = f->features & FRONT_BIT(VIRTIO_F_RING_PACKED);

	front_ring_reset(r, f->memory[0].base, front_guest_base(f, 0), index % 2 == 0,
		f->features & FRONT_BIT(VIRTIO_RING_F_EVENT_IDX), packed);
	r->mergeable = f->features & FRONT_BIT(VIRTIO_NET_F_MRG_RXBUF);
	front_close_eventfds(r);
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->kick < 0 || r->call < 0)
		return front_fail(f, -errno, "eventfd: %s", strerror(errno));
	return front_tell_ring(f, index, packed ? FRONT_FIRST_WRAP : 0);
}

int front_enable(struct front *f, unsigned pair, bool on)
{
	int rc = 0;

	/* Without PROTOCOL_FEATURES rings are born enabled and the request does not exist. */
	if (!(f->features & FRONT_BIT(FRONT_F_PROTOCOL_FEATURES)))
		return 0;
	for (unsigned i = 2 * pair; i < 2 * pair + 2 && rc == 0; i++)
		rc = front_request_state(f, FRONT_SET_VRING_ENABLE, i, on);
	return rc;
}

int front_set_status(struct front *f, uint8_t status)
{
	if (!(f->protocol & FRONT_BIT(FRONT_PROTOCOL_STATUS)))
		return 0;
	return front_request_value(f, FRONT_SET_STATUS, status, -1);
}

int front_negotiate(struct front *f)
{
	static const uint8_t awake = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint64_t barrier;
	int rc;

	f->features = f->protocol = 0;
	if ((rc = agree_on_features(f)) < 0 || (rc = front_set_status(f, 0)) < 0 ||
		(rc = front_set_status(f, awake)) < 0 ||
		(rc = front_request_value(f, FRONT_SET_FEATURES, f->features, -1)) < 0 ||
		(rc = front_set_status(f, awake | VIRTIO_CONFIG_S_FEATURES_OK)) < 0 ||
		(rc = front_share_memory(f)) < 0)
		return rc;
	for (unsigned i = 0; i < 2 * f->opt.pairs; i++)
		if ((rc = set_up_ring(f, i)) < 0)
			return rc;
	for (unsigned i = 0; i < f->opt.pairs; i++)
		if ((rc = front_enable(f, i, true)) < 0)
			return rc;
	rc = front_set_status(f, awake | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	/* Requests are handled in order: an answer to this one says that all the others have been seen. */
	return rc < 0 ? rc : front_request_get(f, FRONT_GET_FEATURES, &barrier);
}

int front_handshake(struct front *f)
{
	int rc;

	f->features = f->protocol = 0;
	rc = front_request_set(f, &(struct front_wire){.request = FRONT_SET_OWNER}, NULL, 0);
	return rc < 0 ? rc : front_negotiate(f);
}

int front_stop_ring(struct front *f, unsigned index, uint32_t *base)
{
	struct front_wire msg = {
		.request = FRONT_GET_VRING_BASE, .size = sizeof(msg.body.state), .body.state.index = index};
	int rc = front_request_ask(f, &msg);

	*base = msg.body.state.value;
	return rc;
}

int front_handshake_stop(struct front *f)
{
	uint32_t base;
	int rc = 0;

	for (unsigned i = 0; i < f->opt.pairs && rc == 0; i++)
		rc = front_enable(f, i, false);
	for (unsigned i = 0; i < 2 * f->opt.pairs && rc == 0; i++)
		rc = front_stop_ring(f, i, &base);
	return rc;
}
