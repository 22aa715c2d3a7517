#include "registry/base/chance.h"

#include <event2/util.h>
#include <stdint.h>

unsigned chance_between(unsigned least, unsigned most)
{
	uint32_t bits;

	evutil_secure_rng_get_bytes(&bits, sizeof(bits));
	return least + bits % (most - least + 1);
}
