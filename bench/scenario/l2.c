/*
 * l2: two ports of one network, every address learned beforehand, frames between pairs of hosts in random
 * order, both ways at once. `mixed` is the same with frames of several sizes, and `ports` the same beside
 * ports that carry nothing.
 */
#include <string.h>

#include "bench/run/measure.h"

int l2_take(struct session *s)
{
	unsigned pairs = strcmp(s->kind.scenario, "ports") == 0 ? 1 : s->kind.count;

	return measure_sizes(s, pairs, measure_throughput);
}
