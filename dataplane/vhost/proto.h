/*
 * proto.h: what the vhost-user protocol looks like on its socket (QEMU's docs/interop/vhost-user.rst).
 * Integers are in host byte order: both ends share memory, so they share a machine.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SEND_RARP = 19,
	VHOST_NET_SET_MTU = 20,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
	VHOST_REQUESTS,
};

/* Bit numbers of the protocol features that are offered. */
enum {
	VHOST_PROTO_MQ = 0,
	VHOST_PROTO_RARP = 2,
	VHOST_PROTO_REPLY_ACK = 3,
	VHOST_PROTO_NET_MTU = 4,
	VHOST_PROTO_BACKEND_REQ = 5,
	VHOST_PROTO_INFLIGHT_SHMFD = 12,
	VHOST_PROTO_CONFIGURE_MEM_SLOTS = 15,
	VHOST_PROTO_STATUS = 16,
};

/* The virtio feature bit that says that protocol features may be asked for. */
#define VHOST_F_PROTOCOL_FEATURES 30

/* vhost_header.flags */
enum {
	VHOST_VERSION = 1,
	VHOST_VERSION_MASK = 3,
	VHOST_REPLY = 1 << 2,
	VHOST_NEED_REPLY = 1 << 3,
};

/* In the u64 of SET_VRING_KICK, CALL and ERR. */
enum {
	VHOST_VRING_INDEX = 0xff,
	VHOST_VRING_NO_FD = 1 << 8,
};

enum {
	VHOST_TABLE_REGIONS = 8, /* of SET_MEM_TABLE */
	VHOST_MSG_FDS = 8,
	VHOST_SCM_FDS = 253, /* that the kernel lets a sender pass at once: SCM_MAX_FD */
};

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of the payload that follows */
};

struct vhost_wire_region {
	uint64_t gpa; /* guest physical address: what descriptors hold */
	uint64_t size;
	uint64_t uva;	 /* the front-end's own address: what SET_VRING_ADDR holds */
	uint64_t offset; /* into the file */
};

struct vhost_wire_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_wire_region region[VHOST_TABLE_REGIONS];
};

struct vhost_wire_slot {
	uint64_t padding;
	struct vhost_wire_region region;
};

struct vhost_wire_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_wire_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail, log;
};

struct vhost_wire_inflight {
	uint64_t size, offset; /* of the memory that holds all rings' regions */
	uint16_t rings;
	uint16_t ring_size;
	uint32_t padding; /* some leave it out */
};

union vhost_payload {
	uint64_t u64;
	struct vhost_wire_state state;
	struct vhost_wire_addr addr;
	struct vhost_wire_table table;
	struct vhost_wire_slot slot;
	struct vhost_wire_inflight inflight;
};

/* A message with the fds that came with it, or go with its answer. Who keeps an fd sets its entry to -1. */
struct vhost_msg {
	struct vhost_header header;
	union vhost_payload payload;
	int fd[VHOST_MSG_FDS];
	unsigned nfd;
	unsigned answer_fds; /* so many of them go with the answer */
};
static_assert(sizeof(struct vhost_header) == 12, "as on the wire");
static_assert(sizeof(struct vhost_wire_table) == 8 + 8 * 32, "as on the wire");
static_assert(sizeof(struct vhost_wire_addr) == 40, "as on the wire");
static_assert(sizeof(struct vhost_wire_slot) == 40, "as on the wire");
static_assert(sizeof(struct vhost_wire_inflight) == 24, "as on the wire");
