#include "control/cpu.h"

#include <stddef.h>

/*
 * CPU_NEEDS comes from meson.build: NEED(avx2) for each that the compiler knows to ask for, and LEAF(name, leaf, bit) for
 * those of the others that are a bit of ECX.
 */
#if defined(__x86_64__) && defined(CPU_NEEDS)
#include <cpuid.h>

static int has_bit(unsigned leaf, unsigned bit)
{
	unsigned eax, ebx, ecx = 0, edx;

	return __get_cpuid(leaf, &eax, &ebx, &ecx, &edx) && (ecx >> bit & 1);
}

const char *cpu_lacks(void)
{
	__builtin_cpu_init();
#define NEED(name)                                                                                           \
	if (!__builtin_cpu_supports(#name))                                                                  \
		return #name;
#define LEAF(name, leaf, bit)                                                                                \
	if (!has_bit(leaf, bit))                                                                             \
		return #name;
	CPU_NEEDS
	return NULL;
}
#else
const char *cpu_lacks(void)
{
	return NULL;
}
#endif
