#include "bench/lines/trap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, RANGES = 1024, OPEN = 8, MAPS = 1 << 20, STACK = 1 << 18, STEP = 1 << 8 /* EFLAGS.TF */ };

struct range {
	uint64_t from, to;
};

/* All that the handlers use lies in a mapping of its own, which is never taken away. */
struct state {
	struct range range[RANGES];
	unsigned nrange;
	uint64_t open[OPEN]; /* pages that the instruction under way has back */
	unsigned nopen;
	size_t count, room, bytes;
	struct sigaction segv, trap;
	stack_t stack;
	char maps[MAPS];
	uint8_t signal_stack[STACK];
	struct trap_access access[];
};

/* And the pointer to it in a page of its own. */
static struct {
	struct state *s;
} __attribute__((aligned(PAGE))) here;

/* The C library's own would go by tables that have been taken away. */
static inline long protect(uint64_t from, uint64_t bytes, long how)
{
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"((long)SYS_mprotect), "D"(from), "S"(bytes), "d"(how)
			 : "rcx", "r11", "memory");
	return rc;
}

/* Bytes of a vector instruction's operand; 1 for any other, which is taken to lie in one line. */
static unsigned operand(const uint8_t *ip)
{
	bool scalar = false;

	while (*ip == 0x66 || *ip == 0xf2 || *ip == 0xf3)
		scalar |= *ip++ != 0x66;
	if (*ip == 0x62) /* EVEX: the length is in its third byte */
		return 16u << (ip[3] >> 5 & 3);
	if (*ip == 0xc5 || *ip == 0xc4) { /* VEX */
		unsigned last = *ip == 0xc4 ? 2 : 1;
		uint8_t opcode = ip[last + 1];

		if (ip[last] & 4)
			return 32;
		return opcode == 0x6e || opcode == 0x7e || opcode == 0xd6 || (ip[last] & 2 && opcode < 0x20)
			       ? 8
			       : 16;
	}
	if ((*ip & 0xf0) == 0x40) /* REX */
		ip++;
	if (*ip != 0x0f)
		return 1;
	if (ip[1] == 0x6f || ip[1] == 0x7f || ip[1] == 0x28 || ip[1] == 0x29 || ip[1] == 0xe7)
		return 16;
	return (ip[1] == 0x10 || ip[1] == 0x11) && !scalar ? 16 : 1;
}

static void note(struct state *s, uint64_t at, uint64_t last, bool write)
{
	for (uint64_t line = at / TRAP_LINE; line <= last / TRAP_LINE; line++) {
		if (s->count == s->room)
			return;
		s->access[s->count++] = (struct trap_access){line, write};
	}
}

static bool is_taken(const struct state *s, uint64_t at)
{
	for (unsigned i = 0; i < s->nrange; i++)
		if (at - s->range[i].from < s->range[i].to - s->range[i].from)
			return true;
	return false;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	struct state *s = here.s;
	ucontext_t *u = context;
	uint64_t at = (uint64_t)info->si_addr, page = at & ~(uint64_t)(PAGE - 1);
	const uint8_t *ip = (const uint8_t *)u->uc_mcontext.gregs[REG_RIP];

	if (s->nopen == OPEN || !is_taken(s, at) || protect(page, PAGE, PROT_READ | PROT_WRITE)) {
		signal(number, SIG_DFL); /* a fault as any other */
		return;
	}
	/* the second page of an access that crosses was noted with the first */
	if (!s->nopen || s->open[s->nopen - 1] + PAGE != at)
		note(s, at, at + operand(ip) - 1, u->uc_mcontext.gregs[REG_ERR] & 2);
	s->open[s->nopen++] = page;
	u->uc_mcontext.gregs[REG_EFL] |= STEP;
}

static void on_step(int number, siginfo_t *info, void *context)
{
	struct state *s = here.s;
	ucontext_t *u = context;

	for (unsigned i = 0; i < s->nopen; i++)
		protect(s->open[i], PAGE, PROT_NONE);
	s->nopen = 0;
	u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)STEP;
}

static void add(struct state *s, uint64_t from, uint64_t to)
{
	if (from < to && s->nrange < RANGES)
		s->range[s->nrange++] = (struct range){from, to};
}

/* One line of /proc/self/maps. */
static void add_mapping(struct state *s, const char *line)
{
	uint64_t tls = (uint64_t)__builtin_thread_pointer(), own = (uint64_t)&here, from, to;
	char may[8];

	if (sscanf(line, "%lx-%lx %4s", &from, &to, may) != 3 || may[0] != 'r' || may[1] != 'w')
		return;
	if (strstr(line, "[stack") || tls - from < to - from || (uint64_t)s - from < to - from)
		return;
	if (own - from < to - from) {
		add(s, from, own);
		from = own + sizeof(here);
	}
	add(s, from, to);
}

static int read_maps(struct state *s)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n, all = 0;
	char *rest;

	if (fd < 0)
		return -errno;
	while (all < MAPS - 1 && (n = read(fd, s->maps + all, (size_t)(MAPS - 1 - all))) > 0)
		all += n;
	close(fd);
	s->maps[all] = 0;
	s->nrange = 0;
	for (char *line = strtok_r(s->maps, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		add_mapping(s, line);
	return s->nrange < RANGES ? 0 : -E2BIG;
}

int trap_open(size_t room)
{
	size_t bytes = (sizeof(struct state) + room * sizeof(struct trap_access) + PAGE - 1) / PAGE * PAGE;
	/* shared: the kernel joins it with no other mapping */
	struct state *s = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	if (!TRAP_ABLE) {
		if (s != MAP_FAILED)
			munmap(s, bytes);
		return -ENOTSUP;
	}
	if (s == MAP_FAILED)
		return -ENOMEM;
	s->room = room;
	s->bytes = bytes;
	here.s = s;
	sigaltstack(&(stack_t){.ss_sp = s->signal_stack, .ss_size = STACK}, &s->stack);
	sigaction(SIGSEGV, &act, &s->segv);
	act.sa_sigaction = on_step;
	sigaction(SIGTRAP, &act, &s->trap);
	return 0;
}

void trap_close(void)
{
	struct state *s = here.s;

	if (!s)
		return;
	sigaction(SIGSEGV, &s->segv, NULL);
	sigaction(SIGTRAP, &s->trap, NULL);
	sigaltstack(&s->stack, NULL);
	here.s = NULL;
	munmap(s, s->bytes);
}

static void give_back(struct state *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		protect(s->range[i].from, s->range[i].to - s->range[i].from, PROT_READ | PROT_WRITE);
}

int trap_begin(void)
{
	struct state *s = here.s;
	int rc = read_maps(s);

	s->count = 0;
	s->nopen = 0;
	for (unsigned i = 0; i < s->nrange && !rc; i++) {
		rc = (int)protect(s->range[i].from, s->range[i].to - s->range[i].from, PROT_NONE);
		if (rc)
			give_back(s, i);
	}
	return rc;
}

size_t trap_end(const struct trap_access **out)
{
	struct state *s = here.s;

	give_back(s, s->nrange);
	*out = s->access;
	return s->count;
}
