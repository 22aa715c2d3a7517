#include "dataplane/egress/slice.h"

struct slice slice_of(unsigned index, unsigned workers)
{
	return (struct slice){
		.first = (uint16_t)(EGRESS_PORT_FIRST + index),
		.step = (uint16_t)workers,
		.count = (EGRESS_PORT_END - EGRESS_PORT_FIRST - index + workers - 1) / workers,
	};
}

uint16_t slice_port(const struct slice *slice, uint64_t at)
{
	return (uint16_t)(slice->first + at % slice->count * slice->step);
}
