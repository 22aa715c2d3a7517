#include "bench/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define NR_HUGE "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define FREE_HUGE "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

static long huge_before = -1;

uint64_t host_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

double host_cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double host_tsc_hz(void)
{
	static double hz;

	if (hz == 0) {
		uint64_t start = host_now_ns(), from = host_tsc(), passed;

		while ((passed = host_now_ns() - start) < 50000000)
			;
		hz = (double)(host_tsc() - from) / (double)passed * 1e9;
	}
	return hz;
}

int host_pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

int host_enter(const char *netns)
{
	char path[128];
	int fd, rc;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int host_realtime(bool on)
{
	const struct sched_param param = {.sched_priority = on};

	/* Round robin, not FIFO: a peer's polling thread must not keep its own control thread from running.
	 */
	return sched_setscheduler(0, on ? SCHED_RR : SCHED_OTHER, &param) < 0 ? -errno : 0;
}

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static void write_number(const char *path, long value)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return;
	fprintf(file, "%ld\n", value);
	fclose(file);
}

unsigned host_reserve_huge_pages(unsigned megabytes)
{
	long want = megabytes / 2, free_now = read_number(FREE_HUGE), total = read_number(NR_HUGE);

	if (free_now < 0 || total < 0)
		return 0;
	if (free_now < want) {
		huge_before = total;
		write_number(NR_HUGE, total + want - free_now);
		free_now = read_number(FREE_HUGE);
	}
	return free_now < 0 ? 0 : 2 * (unsigned)free_now;
}

void host_restore_huge_pages(void)
{
	if (huge_before >= 0)
		write_number(NR_HUGE, huge_before);
	huge_before = -1;
}

uint64_t host_stolen_ms(void)
{
	unsigned long long steal = 0;
	FILE *file = fopen("/proc/stat", "re");

	if (!file)
		return 0;
	if (fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
		steal = 0;
	fclose(file);
	return steal * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* The value after `key` (up to the line's end) in a file of "key<separator>value" lines, or "unknown". */
static json_t *line_value(const char *path, const char *key, const char *separators)
{
	char line[512];
	json_t *value = NULL;
	FILE *file = fopen(path, "re");

	while (file && !value && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		char *text = line + strlen(key);

		text += strspn(text, separators);
		text[strcspn(text, "\"\n")] = '\0';
		value = json_string(text);
	}
	if (file)
		fclose(file);
	return value ? value : json_string("unknown");
}

json_t *host_facts(void)
{
	struct utsname name = {0};

	uname(&name);
	return json_pack("{s:o, s:s, s:o, s:I, s:f, s:I}", "cpu",
		line_value("/proc/cpuinfo", "model name", "\t: "), "kernel", name.release, "system",
		line_value("/etc/os-release", "PRETTY_NAME", "=\""), "cores",
		(json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "tsc_mhz", host_tsc_hz() / 1e6, "hugepages_mb",
		(json_int_t)read_number(NR_HUGE) * 2);
}

double host_status_kb(pid_t pid, const char *format)
{
	char path[32], line[128];
	double kb = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (kb == 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, format, &kb) != 1)
			kb = 0;
	fclose(file);
	return kb;
}

double host_process_s(pid_t pid)
{
	struct timespec t = {0};
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct host_sched host_sched(pid_t pid, pid_t tid)
{
	struct host_sched sched = {0};
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return sched;
	if (fscanf(file, "%llu %llu %llu", &sched.ran_ns, &sched.waited_ns, &sched.runs) != 3)
		sched = (struct host_sched){0};
	fclose(file);
	return sched;
}
