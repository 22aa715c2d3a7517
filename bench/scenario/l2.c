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
	int rc = 0;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		struct generator *g;

		s->kind.size = s->o->sizes[i];
		rc = measure_generator(s, pairs, &g);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
			rc = measure_throughput(s, g);
		generator_free(g);
	}
	return rc;
}
