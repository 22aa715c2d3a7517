#include "bench/traffic/account.h"

#include <time.h>

#include "bench/traffic/generator.h"

static struct direction both(const struct direction from[2])
{
	return (struct direction){.sent = from[0].sent + from[1].sent,
		.received = from[0].received + from[1].received,
		.lost = from[0].lost + from[1].lost,
		.late = from[0].late + from[1].late,
		.wrong = from[0].wrong + from[1].wrong};
}

static double thread_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct account_run account_begin(const struct direction from[2], double seconds)
{
	uint64_t now = host_tsc();

	return (struct account_run){.before = both(from),
		.start = now,
		.now = now,
		.last = now,
		.end = now + (uint64_t)(seconds * host_tsc_hz()),
		.ran = thread_seconds()};
}

void account_drain(struct direction from[2], double seconds, unsigned (*receive)(void *arg), void *arg)
{
	uint64_t patience = (uint64_t)(seconds * host_tsc_hz()), last = host_tsc();

	while (account_in_flight(from) > 0 && host_tsc() - last < patience)
		if (receive(arg) > 0)
			last = host_tsc();
	account_give_up(from);
}

void account_finish(const struct account_run *run, struct direction from[2], unsigned (*receive)(void *arg),
	void *arg, struct generator_result *result)
{
	double ran = thread_seconds() - run->ran, took = (double)(run->now - run->start);
	uint64_t received = both(from).received;
	struct direction after;

	account_drain(from, ACCOUNT_PATIENCE_S, receive, arg);
	after = both(from);
	*result = (struct generator_result){
		.seconds = took / host_tsc_hz(),
		.sent = after.sent - run->before.sent,
		.received = received - run->before.received,
		/* frames given up before may have come late */
		.lost = after.lost > run->before.lost ? after.lost - run->before.lost : 0,
		.late = after.late - run->before.late,
		.wrong = after.wrong - run->before.wrong,
		.wait_pct = took > 0 ? 100.0 * (double)run->waited / took : 0,
		.share_pct = took > 0 ? 100.0 * ran * host_tsc_hz() / took : 0,
	};
}
