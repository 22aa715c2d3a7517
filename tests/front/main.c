/*
 * test-front: guests on vhost-user ports for the tests, run by commands on standard input, one a line, each
 * answered by a line that begins with "ok" or "failed:". Ends with its input.
 *
 *	test-front steady SOCKET MAC SOCKET MAC POKED-MAC [listen]    two guests that talk (steady.h)
 *		report                 numbers since the start
 *		finish                 no more frames, and waits for those under way
 *		again                  connects once more, when the switch is back
 *	test-front subject SOCKET MAC PEER-MAC [listen]               one that things happen to (subject.h)
 *		connect SHAPE, reboot SHAPE, reset-owner SHAPE
 *			SHAPE: ring=N buffer=N pairs=N features=HEX slots, what a guest chooses; each has a default
 *		again, hang-up, stop, disable PAIR, enable PAIR, halt, go-on, grow, report
 *		pause, go              asks nothing, asks again
 *		check N                N more questions are answered
 *	test-front listeners FOLDER COUNT                             many that wait for the switch (listeners.h)
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/front/life.h"
#include "tests/front/listeners.h"
#include "tests/front/steady.h"
#include "tests/front/subject.h"

enum { PATIENCE_MS = 20000, STEADY_RING = 512 };

/* Reads a shape over the defaults; a word that is none of it has no effect. */
static void read_shape(struct front_options *opt, const char *text)
{
	char copy[256], *at = copy;

	opt->ring_size = 256;
	opt->buffer_size = 1536;
	opt->tx_buffer_size = 1536;
	opt->pairs = 1;
	opt->slots = false;
	opt->features = FRONT_FEATURES;
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strsep(&at, " "); word; word = strsep(&at, " ")) {
		sscanf(word, "ring=%u", &opt->ring_size);
		sscanf(word, "buffer=%u", &opt->buffer_size); /* those that receive */
		sscanf(word, "pairs=%u", &opt->pairs);
		opt->slots |= !strcmp(word, "slots");
		sscanf(word, "features=%" SCNx64, &opt->features);
	}
}

/* Commands to a subject return 0, or -errno with front_error(). */
static int do_connect(struct subject *s, const char *shape)
{
	if (s->station.connected)
		station_disconnect(&s->station);
	read_shape(&s->station.opt, shape);
	return station_connect(&s->station);
}

static int do_pause(struct subject *s, const char *rest)
{
	s->paused = true;
	return 0;
}

static int do_go(struct subject *s, const char *rest)
{
	s->paused = false;
	return 0;
}

/* As one whose switch is back. */
static int do_again(struct subject *s, const char *rest)
{
	return front_connect(s->station.front);
}

static int do_hang_up(struct subject *s, const char *rest)
{
	station_disconnect(&s->station);
	return 0;
}

static int do_stop(struct subject *s, const char *rest)
{
	int rc = front_stop(s->station.front);

	if (rc == 0)
		station_disconnect(&s->station);
	return rc;
}

static int do_reboot(struct subject *s, const char *shape)
{
	s->station.wrong += station_bad_used(&s->station);
	read_shape(&s->station.opt, shape);
	return front_reboot(s->station.front, &s->station.opt, false);
}

static int do_reset_owner(struct subject *s, const char *shape)
{
	s->station.wrong += station_bad_used(&s->station);
	read_shape(&s->station.opt, shape);
	return front_reboot(s->station.front, &s->station.opt, true);
}

static int do_disable(struct subject *s, const char *pair)
{
	return front_enable(s->station.front, (unsigned)strtoul(pair, NULL, 10), false);
}

static int do_enable(struct subject *s, const char *pair)
{
	return front_enable(s->station.front, (unsigned)strtoul(pair, NULL, 10), true);
}

static int do_halt(struct subject *s, const char *rest)
{
	return front_halt(s->station.front);
}

static int do_go_on(struct subject *s, const char *rest)
{
	return front_go_on(s->station.front);
}

static int do_grow(struct subject *s, const char *rest)
{
	return front_grow(s->station.front);
}

static int do_check(struct subject *s, const char *count)
{
	return subject_check(s, (uint32_t)strtoul(count, NULL, 10), PATIENCE_MS) ? 0 : -ETIMEDOUT;
}

static const struct {
	const char *name;
	int (*fn)(struct subject *s, const char *rest);
	bool alone; /* also when it is not connected */
} commands[] = {
	{"connect", do_connect, true},
	{"again", do_again},
	{"pause", do_pause},
	{"go", do_go},
	{"hang-up", do_hang_up},
	{"stop", do_stop},
	{"reboot", do_reboot},
	{"reset-owner", do_reset_owner},
	{"disable", do_disable},
	{"enable", do_enable},
	{"halt", do_halt},
	{"go-on", do_go_on},
	{"grow", do_grow},
	{"check", do_check},
};

static void report_subject(const struct subject *s)
{
	printf("ok wrong=%" PRIu64 " silent=%" PRIu64 " doubled=%" PRIu64 "\n",
		s->station.wrong + station_bad_used(&s->station), s->station.silent, s->doubled);
}

static void do_command(struct subject *s, const char *name, const char *rest)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int rc;

		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (!s->station.connected && !commands[i].alone) {
			printf("failed: not connected\n");
			return;
		}
		rc = commands[i].fn(s, rest);
		if (rc < 0)
			printf("failed: %s (%u answered): %s\n", strerror(-rc), s->done,
				s->station.front ? front_error(s->station.front) : "no front");
		else
			printf("ok\n");
		return;
	}
	printf("failed: unknown command\n");
}

/* The next command, NULL at the end of the input. *rest: what follows its first word. */
static char *next_command(char *line, int size, char **rest)
{
	if (!fgets(line, size, stdin))
		return NULL;
	line[strcspn(line, "\n")] = 0;
	*rest = line;
	strsep(rest, " ");
	*rest = *rest ? *rest : "";
	return line;
}

static int run_subject(char **args, bool listen)
{
	struct subject *s = calloc(1, sizeof(*s));
	char line[256], *rest;

	if (!s || !stamp_mac(args[1], s->station.mac) || !stamp_mac(args[2], s->peer))
		errx(1, "subject: not a MAC");
	s->station.opt = (struct front_options){
		.socket = args[0], .listen = listen, .pages = FRONT_PAGES_SMALL, .timeout_ms = PATIENCE_MS};
	read_shape(&s->station.opt, "");
	s->run = (uint32_t)getpid();
	subject_init(s);
	for (;;) {
		if (!subject_turn(s, STDIN_FILENO))
			continue;
		if (!next_command(line, sizeof(line), &rest))
			break;
		if (!strcmp(line, "report"))
			report_subject(s);
		else
			do_command(s, line, rest);
	}
	station_disconnect(&s->station);
	free(s);
	return 0;
}

static void report_steady(const struct steady *s)
{
	const struct station *a = &s->side[0], *b = &s->side[1];

	printf("ok received=%" PRIu64 " under_way=%u lost=%" PRIu64 " doubled=%" PRIu64 " wrong=%" PRIu64
	       " silent=%" PRIu64 "\n",
		(uint64_t)s->received[0] + s->received[1], steady_under_way(s), s->lost, s->doubled,
		a->wrong + b->wrong + station_bad_used(a) + station_bad_used(b), a->silent + b->silent);
}

/* Sends no more and takes what is under way. */
static void finish(struct steady *s)
{
	s->over = true;
	for (unsigned i = 0; i < PATIENCE_MS && steady_under_way(s) > 0; i++)
		steady_turn(s, -1);
}

/* Both connect once more, and what was under way is forgotten. */
static int connect_again(struct steady *s)
{
	int rc = 0;

	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		rc = front_connect(s->side[i].front);
		s->sent[i] = s->received[i];
	}
	return rc;
}

static int run_steady(char **args, bool listen)
{
	struct steady s = {0};
	char line[256], *rest;

	for (unsigned i = 0; i < 2; i++) {
		struct station *side = &s.side[i];
		int rc;

		side->opt = (struct front_options){.socket = args[2 * i],
			.listen = listen,
			.pairs = 1,
			.ring_size = STEADY_RING,
			.pages = FRONT_PAGES_SMALL,
			.timeout_ms = PATIENCE_MS};
		if (!stamp_mac(args[2 * i + 1], side->mac) || !stamp_mac(args[4], s.poked))
			errx(1, "steady: not a MAC");
		rc = station_connect(side);
		if (rc < 0)
			errx(1, "%s: %s", args[2 * i],
				side->front ? front_error(side->front) : strerror(-rc));
	}
	steady_init(&s);
	for (;;) {
		if (!steady_turn(&s, STDIN_FILENO))
			continue;
		if (!next_command(line, sizeof(line), &rest))
			break;
		if (!strcmp(line, "finish"))
			finish(&s);
		if (!strcmp(line, "again") && connect_again(&s) < 0)
			printf("failed: not connected again\n");
		else
			report_steady(&s);
	}
	station_disconnect(&s.side[0]);
	station_disconnect(&s.side[1]);
	return 0;
}

int main(int argc, char **argv)
{
	bool listen = argc > 1 && !strcmp(argv[argc - 1], "listen");
	int args = argc - 2 - listen;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "steady") && args == 5)
		return run_steady(argv + 2, listen);
	if (argc > 1 && !strcmp(argv[1], "subject") && args == 3)
		return run_subject(argv + 2, listen);
	if (argc > 1 && !strcmp(argv[1], "listeners") && args == 2)
		return listeners_run(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	errx(2, "usage: steady SOCKET MAC SOCKET MAC POKED-MAC [listen] | subject SOCKET MAC PEER-MAC "
		"[listen]");
}
