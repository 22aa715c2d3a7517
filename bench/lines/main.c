/*
 * main.c: bench-lines prints how many cache lines go from core to core for a frame on each way (lines.h), and what workers
 * share as they become more.
 *
 *   bench-lines [WORKERS ...]         both, 1 2 4 8 16 workers; minutes, most of them the kernel's,
 *                                     which is asked twice for each access
 *   bench-lines WAY [WORKERS ...]     what workers share on one way (l2, connect, ...)
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lines/lines.h"

static const enum lines_way single[] = {LINES_L2, LINES_ENCAP, LINES_DECAP, LINES_REQUEST, LINES_ANSWER};

static struct lines_result measure(const struct lines_config *config)
{
	struct lines_result result;
	int rc = lines_measure(config, &result);

	if (rc)
		errx(1, "%s: %s", lines_ways[config->way], rc == -EIO ? result.error : strerror(-rc));
	return result;
}

/* One row: worker's and guests' lines a frame by place. */
static void print_frame(const struct lines_config *config)
{
	struct lines_result r = measure(config);
	double all = 0;

	printf("%-8s %6s %5u ", lines_ways[config->way], config->packed ? "packed" : "split",
		config->size + 4);
	for (unsigned side = 0; side < 2; side++) {
		for (unsigned i = 0; i < LINES_PLACES; i++) {
			double one = (double)(side ? r.guest[i] : r.worker[i]) / (double)r.frames;

			printf(" %5.2f", one);
			all += one;
		}
		printf(" |");
	}
	printf(" %6.2f\n", all);
	fflush(stdout);
}

static void print_shared(enum lines_way way, unsigned workers)
{
	struct lines_config config = {.way = way, .workers = workers, .burst = 4, .size = 60};
	struct lines_result r = measure(&config);

	printf("%-8s %7u %8.3f %10.3f", lines_ways[way], workers, (double)r.shared / (double)r.frames,
		(double)r.hottest / (double)r.frames);
	for (unsigned i = 0; i < LINES_SAMPLES && getenv("BENCH_LINES_ADDRESSES"); i++)
		printf(" %lx", r.sample[i] * 64);
	printf("\n");
	fflush(stdout);
}

static void print_frames(void)
{
	printf("lines a frame that the worker waits for, then guests: descriptor, avail, used, header, "
	       "frame, other; "
	       "all\n");
	for (unsigned i = 0; i < 4 * sizeof(single) / sizeof(single[0]); i++)
		print_frame(&(struct lines_config){.way = single[i / 4],
			.workers = 1,
			.burst = 32,
			.packed = i % 2,
			.size = i / 2 % 2 ? 1514 : 60});
}

int main(int argc, char **argv)
{
	static char *const usual[] = {"1", "2", "4", "8", "16"};
	unsigned way = 0, ways = LINES_WAYS;

	while (argc > 1 && way < LINES_WAYS && strcmp(argv[1], lines_ways[way]) != 0)
		way++;
	if (argc > 1 && way < LINES_WAYS) {
		ways = way + 1;
		argv++;
		argc--;
	} else {
		way = 0;
		print_frames();
	}
	printf("\nlines a frame that one worker waits for another, all and the one that most often\n");
	for (; way < ways; way++)
		for (int i = 0; i < (argc > 1 ? argc - 1 : 5); i++) {
			unsigned workers = (unsigned)strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10);

			if ((way != LINES_ENCAP && way != LINES_DECAP) || workers <= PORT_QUEUES_MAX)
				print_shared((enum lines_way)way, workers);
		}
	return 0;
}
