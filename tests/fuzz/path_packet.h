/* path_packet.h: frames for fuzz_path.c: headers of a kind that stages look at, made from a few bytes of input. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What is left of the input; zeros when nothing is. */
struct path_input {
	const uint8_t *data;
	size_t left;
};

uint8_t path_u8(struct path_input *in);
uint16_t path_u16(struct path_input *in);

enum {
	PATH_HEADERS_MAX = 256,
	PATH_TO_UPLINK = 250, /* a MAC or an address that a packet may name */
};

struct path_packet {
	uint32_t len;	  /* of the frame */
	uint16_t headers; /* bytes of bytes[]; the rest of the frame is whatever lies there */
	uint16_t l3;	  /* where the IP header is */
	uint8_t virtio[12];
	uint8_t bytes[PATH_HEADERS_MAX];
};

/** From the port with number `from` of the world: guests first, then sinks. */
void path_packet_read(struct path_input *in, struct path_packet *p, unsigned from);

/** Sends it to another: of a run of frames each goes to a port of its own. */
void path_packet_aim(struct path_packet *p, unsigned to);

/** Puts an outer header for the uplink before it. */
void path_packet_wrap(struct path_input *in, struct path_packet *p);
