#include "bench/lines/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lines/cores.h"
#include "bench/lines/trap.h"
#include "bench/lines/world.h"

/* Each ring of two bursts is gone round once before what counts. */
enum { ROUNDS = 4, WARM = 2, ROOM = 1 << 21, LINES = 1 << 16 };

const char *const lines_ways[LINES_WAYS] = {
	"l2", "l2-both", "encap", "decap", "request", "answer", "vip-both", "many", "learn", "connect"};
const char *const lines_places[LINES_PLACES] = {"descriptor", "avail", "used", "header", "frame", "other"};

/* How often one worker waited for another, by line. */
struct tally {
	uint64_t line, count;
};

struct run {
	struct world world;
	struct cores *cores;
	struct lines_result *result;
	bool counts;
	struct tally tally[LINES];
};

static bool lies(uint64_t line, const void *from, const void *to)
{
	return line >= (uintptr_t)from / TRAP_LINE && line < ((uintptr_t)to + TRAP_LINE - 1) / TRAP_LINE;
}

/* The place of a line in a ring; LINES_OTHER: it is none of it. */
static enum lines_place place_in(const struct front_ring *r, uint64_t line)
{
	uint64_t at = line * TRAP_LINE - (uintptr_t)r->buffers;

	if (lies(line, r->desc, r->avail))
		return LINES_DESC;
	if (lies(line, r->avail, r->used))
		return LINES_AVAIL;
	if (lies(line, r->used, r->buffers))
		return LINES_USED;
	if (at >= (uint64_t)r->size * r->stride)
		return LINES_OTHER;
	return at % r->stride < FRONT_HEADROOM ? LINES_HEADER : LINES_FRAME;
}

static enum lines_place place_of(const struct world *world, uint64_t line)
{
	for (unsigned i = 0; i <= world->nguest; i++) {
		const struct world_guest *g = i < world->nguest ? &world->guest[i] : &world->uplink;

		for (unsigned k = 0; k < g->npair; k++) {
			enum lines_place place = place_in(&g->rx[k], line);

			if (place == LINES_OTHER)
				place = place_in(&g->tx[k], line);
			if (place != LINES_OTHER)
				return place;
		}
	}
	return LINES_OTHER;
}

static void count_shared(struct run *run, uint64_t line)
{
	struct lines_result *result = run->result;
	uint64_t at = line % LINES;

	if (result->shared < LINES_SAMPLES)
		result->sample[result->shared] = line;
	result->shared++;
	while (run->tally[at].line && run->tally[at].line != line)
		at = (at + 1) % LINES;
	run->tally[at].line = line;
	if (++run->tally[at].count > result->hottest)
		result->hottest = run->tally[at].count;
}

/* What `core` has just done. */
static void account(struct run *run, unsigned core)
{
	bool worker = core < run->world.config->workers;
	const struct trap_access *access;
	size_t n = trap_end(&access);

	if (n == ROOM) {
		snprintf(run->result->error, sizeof(run->result->error),
			"more accesses than there is room for");
		_exit(1);
	}
	for (size_t i = 0; i < n; i++) {
		unsigned why = cores_touch(run->cores, core, access[i].line, access[i].write);

		if (!run->counts)
			continue;
		run->result->touched += worker;
		if (worker && (why & CORES_WORKER))
			count_shared(run, access[i].line);
		else if (why & (CORES_GUEST | CORES_WORKER))
			(worker ? run->result->worker
				: run->result->guest)[place_of(&run->world, access[i].line)]++;
	}
}

static void begin(struct run *run)
{
	int rc = trap_begin();

	if (!rc)
		return;
	snprintf(
		run->result->error, sizeof(run->result->error), "memory cannot be taken away: error %d", -rc);
	_exit(1);
}

static void sends(struct run *run, unsigned from, unsigned ring)
{
	struct world *world = &run->world;
	struct world_guest *g = from < world->nguest ? &world->guest[from] : &world->uplink;

	begin(run);
	world_send(world, g, from, ring);
	account(run, world->config->workers + from + ring);
}

static void takes(struct run *run, unsigned to, unsigned ring)
{
	struct world *world = &run->world;
	unsigned n;

	begin(run);
	n = world_take(to < world->nguest ? &world->guest[to] : &world->uplink, ring);
	account(run, world->config->workers + to + ring);
	run->result->frames += run->counts ? n : 0;
}

/* Everybody sends a burst, every worker has a turn, everybody takes what came. */
static void go_round(struct run *run)
{
	const struct world *world = &run->world;
	unsigned workers = world->config->workers;
	enum lines_way way = world->config->way;
	bool both = world_is_both(way);

	for (unsigned i = 0; i < workers; i++) {
		if (way == LINES_DECAP)
			sends(run, world->nguest, i);
		else
			sends(run, 2 * i + (way == LINES_ANSWER), 0);
		if (both)
			sends(run, 2 * i + 1, 0);
	}
	for (unsigned i = 0; i < workers; i++) {
		begin(run);
		world_turn(&run->world, i);
		account(run, i);
	}
	for (unsigned i = 0; i < (way == LINES_MANY ? 1 : workers); i++) {
		if (way == LINES_ENCAP)
			takes(run, world->nguest, i);
		else
			takes(run, 2 * i + (way != LINES_DECAP && way != LINES_ANSWER), 0);
		if (both)
			takes(run, 2 * i, 0);
	}
}

static void measure(const struct lines_config *config, struct lines_result *result)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run || !(run->cores = cores_new(config->workers)) || trap_open(ROOM))
		_exit(1);
	run->result = result;
	world_open(&run->world, config);
	for (unsigned i = 0; i < ROUNDS; i++) {
		run->counts = i >= WARM;
		go_round(run);
	}
	_exit(0);
}

int lines_measure(const struct lines_config *config, struct lines_result *result)
{
	unsigned most = world_is_overlay(config->way) ? PORT_QUEUES_MAX : 64;
	struct lines_result *shared;
	int status = 0;
	pid_t child;

	if (!TRAP_ABLE)
		return -ENOTSUP;
	if (!config->workers || config->workers > most || config->size < 60 || config->size > 1514 ||
		!config->burst || config->burst > WORLD_BURST || (config->burst & (config->burst - 1)))
		return -EINVAL;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	fflush(NULL);
	child = fork();
	if (!child)
		measure(config, shared);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		snprintf(shared->error, sizeof(shared->error), "%s",
			*shared->error ? shared->error : "it ended early");
	*result = *shared;
	munmap(shared, sizeof(*shared));
	return *result->error ? -EIO : 0;
}
