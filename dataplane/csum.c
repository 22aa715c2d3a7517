#include "dataplane/csum.h"

uint64_t csum_add(uint64_t sum, const uint8_t *data, uint32_t len)
{
	uint32_t word = 0;

	/* 32-bit words into 64 bits: no carry to keep, so that the compiler vectorises it */
	for (; len >= 4; data += 4, len -= 4) {
		memcpy(&word, data, 4);
		sum += word;
	}
	word = 0;
	memcpy(&word, data, len);
	return sum + word;
}
