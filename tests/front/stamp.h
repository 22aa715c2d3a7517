/*
 * stamp.h: frames that say what they are. Length and every byte of one follow from its kind, run and number, so
 * whoever receives it can tell whether it is whole, and which one it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stamp_kind {
	STAMP_STEADY = 1, /* part of a stream in which none may be missing */
	STAMP_ASK,	  /* to be sent back as an answer */
	STAMP_ANSWER,
	STAMP_POKE, /* for nobody: fills the ring of one who does not look */
};

struct stamp {
	uint8_t dst[6], src[6];
	uint16_t ethertype;
	uint8_t kind;
	uint8_t padding;
	uint32_t run; /* of the program that asked */
	uint32_t number;
} __attribute__((packed));

enum { STAMP_MIN = 60, STAMP_MAX = 1514 };

/** "02:00:00:00:00:21". False: it is no MAC. */
bool stamp_mac(const char *text, uint8_t mac[6]);

/** Writes the frame for which `stamp` (kind, run, number, both MACs) is the beginning. Returns its length. */
size_t stamp_write(const struct stamp *stamp, uint8_t frame[STAMP_MAX]);

/** Reads one. False: nobody wrote it like this. */
bool stamp_read(const uint8_t *frame, size_t len, struct stamp *stamp);
