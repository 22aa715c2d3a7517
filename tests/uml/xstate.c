/*
 * xstate.c: has User-Mode Linux run on CPUs whose register state is larger than it knows (AMX). It writes a process's
 * registers back by ptrace(2) with the bytes that it knows of, and the host's kernel takes all of them or none
 * (EFAULT): its first process then dies with "ptrace set fp regs failed, errno = 14". Laid before libc's call by
 * LD_PRELOAD (tests/rig/uml.py), this adds the rest, as the process has it.
 */
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*call)(enum __ptrace_request request, ...);

/* Its stacks are small, and it has one thread. */
static char whole[32768];

long ptrace(enum __ptrace_request request, ...)
{
	static call real;
	struct iovec all = {whole, sizeof(whole)};
	void *what, *data;
	va_list args;
	pid_t pid;

	va_start(args, request);
	pid = va_arg(args, pid_t);
	what = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ptrace");
	if (request == PTRACE_SETREGSET && what == (void *)NT_X86_XSTATE &&
		real(PTRACE_GETREGSET, pid, what, &all) == 0) {
		const struct iovec *part = data;

		if (part->iov_len < all.iov_len) {
			memcpy(whole, part->iov_base, part->iov_len);
			return real(request, pid, what, &all);
		}
	}
	return real(request, pid, what, data);
}
