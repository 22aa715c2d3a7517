#include "tests/front/steady.h"

#include <string.h>
#include <time.h>

enum { POKE_EVERY = 2, PAUSE_US = 200, SLEEP_MS = 50 };

static void on_steady(struct steady *s, unsigned from, uint32_t number)
{
	uint32_t ahead = number - s->received[from];

	if (ahead > INT32_MAX) {
		s->doubled++;
		return;
	}
	s->lost += ahead;
	s->received[from] = number + 1;
	if (number % POKE_EVERY == 0)
		station_send(
			&s->side[from], 0, s->poked, &(struct stamp){.kind = STAMP_POKE, .number = number});
}

static void on_frame(void *arg, struct station *to, const struct stamp *stamp)
{
	struct steady *s = arg;
	struct stamp answer = *stamp;

	if (memcmp(stamp->dst, to->mac, sizeof(to->mac)) != 0)
		return; /* flooded */
	if (stamp->kind == STAMP_STEADY)
		on_steady(s, to == &s->side[0], stamp->number);
	answer.kind = STAMP_ANSWER;
	if (stamp->kind == STAMP_ASK)
		station_send(to, 0, stamp->src, &answer);
}

void steady_init(struct steady *s)
{
	for (unsigned i = 0; i < 2; i++) {
		s->side[i].receive = on_frame;
		s->side[i].arg = s;
	}
}

uint32_t steady_under_way(const struct steady *s)
{
	return s->sent[0] - s->received[0] + s->sent[1] - s->received[1];
}

bool steady_turn(struct steady *s, int fd)
{
	struct station *both[] = {&s->side[0], &s->side[1]};

	for (unsigned i = 0; i < 2; i++) {
		struct stamp stamp = {.kind = STAMP_STEADY};

		station_poll(both[i]);
		while (!s->over && s->sent[i] - s->received[i] < STEADY_WINDOW) {
			stamp.number = s->sent[i];
			if (!station_send(both[i], 0, both[!i]->mac, &stamp))
				break;
			s->sent[i]++;
		}
	}
	/* plenty, and the cores are not ours alone */
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000}, NULL);
	return station_wait(both, 2, fd, SLEEP_MS);
}
