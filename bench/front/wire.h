/*
 * wire.h: vhost-user messages as they stand on the socket (QEMU's "Vhost-user Protocol" specification),
 * and the calls that send and receive one. Little-endian hosts only, as is the rest.
 */
#pragma once

#include <stdint.h>

enum front_request {
	FRONT_GET_FEATURES = 1,
	FRONT_SET_FEATURES = 2,
	FRONT_SET_OWNER = 3,
	FRONT_RESET_OWNER = 4,
	FRONT_SET_MEM_TABLE = 5,
	FRONT_SET_LOG_BASE = 6,
	FRONT_SET_VRING_NUM = 8,
	FRONT_SET_VRING_ADDR = 9,
	FRONT_SET_VRING_BASE = 10,
	FRONT_GET_VRING_BASE = 11,
	FRONT_SET_VRING_KICK = 12,
	FRONT_SET_VRING_CALL = 13,
	FRONT_SET_VRING_ERR = 14,
	FRONT_GET_PROTOCOL_FEATURES = 15,
	FRONT_SET_PROTOCOL_FEATURES = 16,
	FRONT_GET_QUEUE_NUM = 17,
	FRONT_SET_VRING_ENABLE = 18,
	FRONT_SET_INFLIGHT_FD = 32,
	FRONT_ADD_MEM_REG = 37,
	FRONT_REM_MEM_REG = 38,
	FRONT_SET_STATUS = 39,
	FRONT_GET_STATUS = 40,
};

enum front_protocol_bit {
	FRONT_PROTOCOL_MQ = 0,
	FRONT_PROTOCOL_REPLY_ACK = 3,
	FRONT_PROTOCOL_CONFIGURE_MEM_SLOTS = 15,
	FRONT_PROTOCOL_STATUS = 16,
};

enum {
	FRONT_WIRE_VERSION = 1,
	FRONT_WIRE_REPLY = 1 << 2,
	FRONT_WIRE_NEED_REPLY = 1 << 3,
	FRONT_F_PROTOCOL_FEATURES = 30, /* virtio feature bit that belongs to the transport */
	FRONT_WIRE_MAX_REGIONS = 8,
	FRONT_WIRE_MAX_FDS = 8,
};

struct front_wire_region {
	uint64_t guest_address, size, user_address, offset;
};

struct front_wire_state {
	uint32_t index, value;
};

struct front_wire_address {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct front_wire {
	uint32_t request, flags, size; /* size: of the body that follows */
	union {
		uint64_t value;
		struct front_wire_state state;
		struct front_wire_address address;
		struct {
			uint32_t count, zero;
			struct front_wire_region region[FRONT_WIRE_MAX_REGIONS];
		} memory;
		struct {
			uint64_t padding;
			struct front_wire_region region;
		} slot;
		uint8_t bytes[512];
	} __attribute__((packed)) body;
} __attribute__((packed));

#define FRONT_WIRE_HEADER 12

/** Sends header and body with `nfds` descriptors (at most FRONT_WIRE_MAX_FDS). 0, -ENOTCONN, -ETIMEDOUT or
 * -errno. */
int front_wire_send(int socket, const struct front_wire *msg, const int *fds, unsigned nfds);

/**
 * Receives one message; descriptors that come with it are closed. 0; -ENOTCONN: the other side hung up;
 * -ETIMEDOUT: it took longer than the socket's SO_RCVTIMEO; -EPROTO: its size is impossible; or -errno.
 */
int front_wire_receive(int socket, struct front_wire *msg);

/** A request's name without its prefix ("SET_MEM_TABLE"), for messages to people. */
const char *front_wire_name(uint32_t request);
