/* turn.c: how long DNS may take of a turn of the event loop. */
#include <time.h>

#include "registry/dns/inside.h"

enum { TURN_NS = 500000 };

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Runs behind everything else that is to be done in the turn. */
static void on_over(evutil_socket_t fd, short what, void *arg)
{
	struct dns *dns = arg;

	dns->turn[DNS_TURN_UDP].end = dns->turn[DNS_TURN_TCP].end = 0;
}

void dns_turn_open(struct dns *dns)
{
	event_assign(&dns->turn_over, dns->base, -1, 0, on_over, dns);
}

void dns_turn_close(struct dns *dns)
{
	event_del(&dns->turn_over);
}

bool dns_turn_has_time(struct dns *dns, enum dns_turn_of of)
{
	struct dns_turn *turn = &dns->turn[of];

	if (turn->end)
		return now_ns() < turn->end;
	turn->end = now_ns() + TURN_NS;
	event_active(&dns->turn_over, 0, 0);
	return true;
}
