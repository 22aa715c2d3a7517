/*
 * hostile-front: thousands of front-ends that mean ill, one after the other, at one port, while three honest
 * ones at other ports of the same worker exchange frames: two in a network of their own, which must lose
 * nothing and see nothing else, and one beside the hostile port, so that it is delivered to as well.
 *
 *	hostile-front HOSTILE HONEST1 HONEST2 NEIGHBOUR ROUNDS SEED
 *
 * Prints one line of JSON and exits 0; or 1, with a line that says what went wrong in which round.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/front/front.h"
#include "tests/hostile/noise.h"

enum { PATIENCE_MS = 10000, FRAME = 64 };

static const uint8_t magic[8] = "honest!";

struct honest {
	struct front *front;
	uint8_t mac[6];
};

static struct honest join(const char *path, uint8_t number)
{
	struct honest h = {.mac = {2, 0x40, 0, 0, 0, number}};
	int rc = front_create(&h.front,
		&(struct front_options){.socket = path, .ring_size = 64, .pages = FRONT_PAGES_SMALL});

	if (rc < 0)
		errx(1, "%s: %s", path, strerror(-rc));
	if (front_connect(h.front) < 0)
		errx(1, "%s: %s", path, front_error(h.front));
	return h;
}

static void send_frame(const struct honest *from, const uint8_t *to, uint64_t number)
{
	uint8_t frame[FRAME] = {0};

	memcpy(frame, to, 6);
	memcpy(frame + 6, from->mac, 6);
	frame[12] = 0x88; /* local experimental, IEEE 802 */
	frame[13] = 0xb5;
	memcpy(frame + 16, magic, sizeof(magic));
	memcpy(frame + 24, &number, sizeof(number));
	if (front_send(from->front, frame, sizeof(frame)) < 0)
		errx(1, "an honest port is not emptied any more");
}

/* The next frame must be that one. */
static void expect_frame(const struct honest *at, uint64_t number, unsigned round)
{
	uint8_t frame[2048];
	int len = front_receive(at->front, frame, sizeof(frame), PATIENCE_MS);
	uint64_t got = 0;

	if (len < 0)
		errx(1, "round %u: an honest port lost a frame", round);
	memcpy(&got, frame + 24, sizeof(got));
	if (len != FRAME || memcmp(frame + 16, magic, sizeof(magic)) != 0)
		errx(1, "round %u: an honest port received what is not of its network", round);
	if (got != number)
		errx(1, "round %u: an honest port received frame %llu, not %llu", round,
			(unsigned long long)got, (unsigned long long)number);
}

static void be_honest(const struct honest pair[2], const struct honest *neighbour, unsigned round)
{
	static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t sink[65536];

	send_frame(&pair[0], everybody, round);
	expect_frame(&pair[1], round, round);
	send_frame(&pair[1], pair[0].mac, round);
	expect_frame(&pair[0], round, round);
	send_frame(neighbour, everybody, round);
	while (front_receive(neighbour->front, sink, sizeof(sink), 0) >= 0)
		;
}

static void misbehave(struct noise *n, unsigned round)
{
	unsigned kind = noise_below(n, 8);

	noise_boot(n, kind < 6 ? NOISE_STEPS : noise_below(n, NOISE_STEPS));
	if (kind == 5)
		noise_fill_calls(n);
	for (unsigned i = noise_below(n, 3) + (kind == 4); i > 0; i--) {
		noise_rings(n);
		noise_scribble(n, noise_below(n, 2000));
	}
	if (kind == 4)
		noise_truncate(n);
	for (unsigned i = kind < 4 ? noise_below(n, 12) : 0; i > 0 && !noise_hung_up(n); i--) {
		noise_message(n);
		noise_scribble(n, 100);
	}
	if (kind == 6)
		noise_malformed(n, round);
	if (kind == 7)
		noise_partial(n);
}

int main(int argc, char **argv)
{
	struct honest pair[2], neighbour;
	struct noise n = {0};
	unsigned rounds, hung_up = 0;

	if (argc != 7)
		errx(2, "usage: %s HOSTILE HONEST1 HONEST2 NEIGHBOUR ROUNDS SEED", argv[0]);
	pair[0] = join(argv[2], 1);
	pair[1] = join(argv[3], 2);
	neighbour = join(argv[4], 3);
	rounds = (unsigned)strtoul(argv[5], NULL, 10);
	n.path = argv[1];
	for (unsigned round = 1; round <= rounds; round++) {
		int rc;

		/* of each round alone, so that one can be had without those before */
		n.random = (strtoull(argv[6], NULL, 10) + 1) * 0x9e3779b97f4a7c15 ^ (uint64_t)round << 20;
		for (unsigned i = 0; i < 4; i++)
			noise_below(&n, 2);
		rc = noise_open(&n);
		if (rc < 0)
			errx(1, "round %u: the hostile port serves nobody any more: %s", round,
				strerror(-rc));
		misbehave(&n, round);
		be_honest(pair, &neighbour, round);
		hung_up += noise_hung_up(&n);
		noise_close(&n);
	}
	printf("{\"rounds\": %u, \"hung_up\": %u}\n", rounds, hung_up);
	front_destroy(pair[0].front);
	front_destroy(pair[1].front);
	front_destroy(neighbour.front);
	return 0;
}
