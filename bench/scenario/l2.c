/*
 * l2: two ports of one network, every address learned beforehand, frames between pairs of hosts in random
 * order, both ways at once. `mixed` is the same with frames of several sizes, and `ports` the same beside
 * ports that carry nothing. l2-ipv6 has frames of IPv4 and then of IPv6, of the same sizes; l2-packed is l2 with packed
 * rings.
 */
#include <string.h>

#include "bench/run/measure.h"

int l2_take(struct session *s)
{
	unsigned pairs = strcmp(s->kind.scenario, "ports") == 0 ? 1 : s->kind.count;

	return measure_sizes(s, pairs, measure_throughput);
}

int l2_ipv6_take(struct session *s)
{
	int rc = 0;

	for (unsigned ipv6 = 0; ipv6 < 2 && rc == 0; ipv6++) {
		s->ipv6 = ipv6;
		measure_variant(s, ipv6 ? "ipv6" : "ipv4");
		rc = measure_sizes(s, s->kind.count, measure_throughput);
	}
	return rc;
}
