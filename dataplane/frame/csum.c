#include "dataplane/frame/csum.h"

typedef uint64_t lanes __attribute__((vector_size(32)));

enum { WIDE = 128 }; /* bytes from which the vectors' set-up is earned back */

/* Halves of 64-bit words into 64 bits: no carry to keep. */
static inline uint64_t halves(uint64_t word)
{
	return (word & UINT32_MAX) + (word >> 32);
}

static uint64_t add_wide(uint64_t sum, const uint8_t *data, uint32_t len)
{
	lanes low[2] = {{0}}, high[2] = {{0}};

	for (; len >= 64; data += 64, len -= 64) {
		lanes word[2];

		memcpy(word, data, sizeof(word));
		low[0] += word[0] & UINT32_MAX;
		high[0] += word[0] >> 32;
		low[1] += word[1] & UINT32_MAX;
		high[1] += word[1] >> 32;
	}
	low[0] += low[1] + high[0] + high[1];
	return sum + low[0][0] + low[0][1] + low[0][2] + low[0][3];
}

/* Less than eight bytes as they lie in a word, zero behind them. */
static inline uint64_t last_bytes(const uint8_t *data, uint32_t len)
{
	uint32_t four = 0;
	uint16_t two = 0;
	uint64_t sum = 0;

	if (len & 4) {
		memcpy(&four, data, 4);
		data += 4;
		sum = four;
	}
	if (len & 2) {
		memcpy(&two, data, 2);
		data += 2;
		sum += two;
	}
	return len & 1 ? sum + *data : sum;
}

uint64_t csum_add(uint64_t sum, const uint8_t *data, uint32_t len)
{
	uint64_t word;

	if (len >= WIDE) {
		sum = add_wide(sum, data, len);
		data += len & ~63u;
		len &= 63;
	}
	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		sum += halves(word);
	}
	return sum + last_bytes(data, len);
}
