#include "tests/front/subject.h"

#include <string.h>
#include <time.h>

enum { SLEEP_MS = 50, ASK_AGAIN_MS = 200 };

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_answer(struct subject *s, uint32_t number)
{
	uint32_t at = number % SUBJECT_NUMBERS;

	if (s->answered[at] >= s->asked[at]) {
		s->doubled++;
		return;
	}
	s->answered[at]++;
	for (unsigned i = 0; i < SUBJECT_WINDOW; i++) {
		if (!s->question[i].open || s->question[i].number != number)
			continue;
		s->question[i].open = false;
		s->done += (int32_t)(number - s->mark) >= 0;
	}
}

static void on_frame(void *arg, struct station *to, const struct stamp *stamp)
{
	struct subject *s = arg;

	/* answers to another life, pokes, what is flooded */
	if (memcmp(stamp->dst, to->mac, sizeof(to->mac)) == 0 && stamp->kind == STAMP_ANSWER &&
		stamp->run == s->run)
		on_answer(s, stamp->number);
}

void subject_init(struct subject *s)
{
	s->station.receive = on_frame;
	s->station.arg = s;
}

static void ask(struct subject *s, unsigned i, int64_t now)
{
	struct stamp stamp = {.kind = STAMP_ASK, .run = s->run};
	uint32_t at;

	if (s->question[i].open && now - s->question[i].asked_ms < ASK_AGAIN_MS)
		return;
	stamp.number = s->question[i].open ? s->question[i].number : s->next;
	at = stamp.number % SUBJECT_NUMBERS;
	if (!station_send(&s->station, stamp.number % s->station.opt.pairs, s->peer, &stamp))
		return;
	if (!s->question[i].open) {
		s->next++;
		s->asked[at] = s->answered[at] = 0;
		s->question[i].open = true;
		s->question[i].number = stamp.number;
	}
	s->question[i].asked_ms = now;
	s->asked[at]++;
}

bool subject_turn(struct subject *s, int fd)
{
	struct station *only[] = {&s->station};
	int64_t now;

	station_poll(&s->station);
	now = now_ms();
	for (unsigned i = 0; i < SUBJECT_WINDOW && !s->paused; i++)
		ask(s, i, now);
	return station_wait(only, 1, fd, SLEEP_MS);
}

bool subject_check(struct subject *s, uint32_t count, int64_t ms)
{
	int64_t end = now_ms() + ms;

	s->mark = s->next;
	s->done = 0;
	while (s->done < count && now_ms() < end)
		subject_turn(s, -1);
	return s->done >= count;
}
