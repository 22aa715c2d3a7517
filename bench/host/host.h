/*
 * host.h: the machine that a bench runs on: its cores, clock, huge pages, and what makes its figures
 * comparable with another's.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

static inline uint64_t host_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/** Cycles of the time-stamp counter in a second, measured against the clock once (50 ms). */
double host_tsc_hz(void);

/** Nanoseconds since some moment. */
uint64_t host_now_ns(void);

/** Puts the calling thread, and what it starts from now on, on `core`. 0 or -errno. */
int host_pin(int core);

/** Takes the calling thread to the network namespace that `ip netns` calls `netns`. 0 or -errno. */
int host_enter(const char *netns);

/** The calling thread and what it starts from now on go before every thread that is not real-time, or no
 * longer do. 0 or -errno. */
int host_realtime(bool on);

/**
 * Sees to it that `megabytes` of 2 MB pages are free, as far as the kernel gives them; returns how many there
 * are. host_restore_huge_pages puts the earlier number back; call it however the bench ends.
 */
unsigned host_reserve_huge_pages(unsigned megabytes);
void host_restore_huge_pages(void);

/** The number of a line of /proc/PID/status, in kB: format "RssAnon: %lf"; 0: unknown. */
double host_status_kb(pid_t pid, const char *format);

/** Seconds that the calling thread has run. */
double host_cpu_s(void);

/** Seconds that all threads of a process have run; 0: unknown. */
double host_process_s(pid_t pid);

/* What the scheduler tells of a thread. */
struct host_sched {
	unsigned long long ran_ns, waited_ns, runs;
};

/** Zeros: unknown. */
struct host_sched host_sched(pid_t pid, pid_t tid);

/** Milliseconds that the hypervisor has taken from all cores since boot. */
uint64_t host_stolen_ms(void);

/** CPU, kernel, distribution, cores, clock, huge pages: what a reader needs to judge a figure. */
json_t *host_facts(void);
