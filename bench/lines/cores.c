#include "bench/lines/cores.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1 << 21, WORDS = CORES_MAX / 64 };

struct line {
	uint64_t line;	      /* 0: free */
	uint64_t have[WORDS]; /* cores with a copy */
	bool dirty;	      /* the only one that has it has written it */
};

struct cores {
	uint64_t workers[WORDS];
	struct line *slot;
	unsigned used;
};

struct cores *cores_new(unsigned workers)
{
	struct cores *cores = calloc(1, sizeof(*cores));

	if (!cores)
		return NULL;
	cores->slot = calloc(SLOTS, sizeof(*cores->slot));
	if (!cores->slot) {
		free(cores);
		return NULL;
	}
	for (unsigned i = 0; i < workers && i < CORES_MAX; i++)
		cores->workers[i / 64] |= UINT64_C(1) << i % 64;
	return cores;
}

void cores_free(struct cores *cores)
{
	if (cores)
		free(cores->slot);
	free(cores);
}

static struct line *find(struct cores *cores, uint64_t line)
{
	uint64_t at = (line * UINT64_C(0x9e3779b97f4a7c15)) >> 43;

	while (cores->slot[at].line && cores->slot[at].line != line)
		at = (at + 1) % SLOTS;
	if (!cores->slot[at].line) {
		if (++cores->used == SLOTS)
			abort(); /* more than a model of a few bursts touches */
		cores->slot[at].line = line;
	}
	return &cores->slot[at];
}

unsigned cores_touch(struct cores *cores, unsigned core, uint64_t line, bool write)
{
	struct line *l = find(cores, line);
	bool has = l->have[core / 64] >> core % 64 & 1, any = false;
	unsigned why = CORES_HIT;

	for (unsigned i = 0; i < WORDS; i++) {
		uint64_t others = l->have[i];

		any |= others != 0;
		if (i == core / 64)
			others &= ~(UINT64_C(1) << core % 64);
		/* a copy is no matter to who reads; the dirty one is the only one */
		if (!others || (!write && (has || !l->dirty)))
			continue;
		why |= others & cores->workers[i] ? CORES_WORKER : 0;
		why |= others & ~cores->workers[i] ? CORES_GUEST : 0;
	}
	why |= any ? 0 : CORES_COLD;
	if (write)
		memset(l->have, 0, sizeof(l->have));
	l->dirty = write || (l->dirty && has);
	l->have[core / 64] |= UINT64_C(1) << core % 64;
	return why;
}
