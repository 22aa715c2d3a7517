/*
 * trap.h: which cache lines a piece of this very program reads and writes, to the byte and without another build of it. Every
 * page that can be written, but for this thread's stack and what belongs to it, is taken away (mprotect); each access then
 * faults, is noted, and is let through alone, by a single step.
 *
 * What is not seen: instructions that only prefetch, the stack, what cannot be written, a second access by one instruction to
 * the same page, and what the kernel does in a system call (to which none of that memory may be given). One thread, x86-64, no
 * sanitizer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { TRAP_LINE = 64, TRAP_ABLE = true };
#else
enum { TRAP_LINE = 64, TRAP_ABLE = false };
#endif

struct trap_access {
	uint64_t line; /* address / TRAP_LINE */
	bool write;
};

/** Makes room for so many accesses between two calls. 0; -ENOMEM; -ENOTSUP: not in this kind of build. */
int trap_open(size_t room);
void trap_close(void);

/** From here on accesses are noted. -errno: memory cannot be taken away; then nothing is. */
int trap_begin(void);
/** Until here. Returns how many accesses *out has, in their order, until the next trap_begin(); what there was no room for is
 * in none. */
size_t trap_end(const struct trap_access **out);
