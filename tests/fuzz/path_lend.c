#include <sanitizer/asan_interface.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/fuzz/path_world.h"

/* Each with memory before and behind it that nobody may touch. All is zero but what is lent. */
enum { RED = 64, LENT_BYTES = RED + (FRAME_MAX + 63) / 64 * 64 + RED };
static struct lent {
	uint8_t *at;	/* what is lent; ends where the red zone begins */
	uint32_t count; /* bytes that are not zero */
} lent[BURST_MAX];

static uint8_t *lent_memory(void)
{
	static uint8_t *memory;

	if (memory)
		return memory;
	memory = mmap(NULL, (size_t)BURST_MAX * LENT_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 1; i <= BURST_MAX; i++)
		ASAN_POISON_MEMORY_REGION(memory + (size_t)i * LENT_BYTES - RED, RED);
	return memory;
}

const uint8_t *path_lend(unsigned i, const void *data, uint32_t n, uint32_t len)
{
	uint8_t *end = lent_memory() + (size_t)(i + 1) * LENT_BYTES - RED;

	lent[i] = (struct lent){end - len, n};
	memcpy(lent[i].at, data, n);
	ASAN_POISON_MEMORY_REGION(lent[i].at - RED, RED);
	return lent[i].at;
}

void path_lend_end(unsigned i)
{
	ASAN_UNPOISON_MEMORY_REGION(lent[i].at - RED, RED);
	memset(lent[i].at, 0, lent[i].count);
}
