/*
 * eal.c: starting DPDK. Core numbers are mapped to lcores 0 (control) and 1, 2, ... (workers), so that any
 * CPU of a large host can be named.
 */
#include "dataplane/eal.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { ARGS_MAX = 16, ARG_BYTES = 512 };

struct args {
	int count;
	char text[ARGS_MAX][ARG_BYTES];
	char *list[ARGS_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void push(struct args *args, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(args->text[args->count], ARG_BYTES, fmt, ap);
	va_end(ap);
	args->list[args->count] = args->text[args->count];
	args->count++;
}

/* Free huge pages of 2 MB, in MB. */
static unsigned long free_huge_mb(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * 2;
}

static bool use_huge(const struct dp_config *config)
{
	enum { WORTH_IT_MB = 64 };

	return config->hugepages == DP_HUGE_ON ||
	       (config->hugepages == DP_HUGE_AUTO && free_huge_mb() >= WORTH_IT_MB);
}

static int first_cpu(const cpu_set_t *set)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set))
			return i;
	return 0;
}

/* What any host may ask for, having it or not: memory is only touched as it is needed. */
enum { MEMORY_ANY_MB = 512 };

/* DPDK makes a record of each page of it first, which takes minutes and gigabytes for what is not there. */
static int check_memory(const struct dp_config *config, struct dp_err *err)
{
	struct sysinfo info;
	uint64_t have_mb;

	if (sysinfo(&info) < 0)
		return 0;
	have_mb = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit >> 20;
	if (config->memory_mb <= MEMORY_ANY_MB || config->memory_mb <= have_mb)
		return 0;
	return dp_fail(err, -ENOMEM,
		"dataplane.memory_mb: %u is more than the %" PRIu64 " MB that this host has",
		config->memory_mb, have_mb);
}

/* Pages of any size. */
static bool has_huge(void)
{
	glob_t found;
	bool any = glob("/sys/kernel/mm/hugepages/hugepages-*/nr_hugepages", 0, NULL, &found) == 0;
	unsigned long pages = 0;

	for (size_t i = 0; any && i < found.gl_pathc && !pages; i++) {
		FILE *f = fopen(found.gl_pathv[i], "re");

		if (f && fscanf(f, "%lu", &pages) != 1)
			pages = 0;
		if (f)
			fclose(f);
	}
	if (any)
		globfree(&found);
	return pages > 0;
}

int dp_check(const struct dp_config *config, struct dp_err *err)
{
	if (!use_huge(config))
		return check_memory(config, err);
	if (!has_huge())
		return dp_fail(err, -ENOENT, "dataplane.hugepages: on, but this host has none");
	return 0;
}

int eal_start(const struct dp_config *config, struct dp_err *err)
{
	struct args args = {0};
	char lcores[ARG_BYTES];
	cpu_set_t allowed;
	int len;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	len = snprintf(lcores, sizeof(lcores), "0@%d",
		config->main_core >= 0 ? config->main_core : first_cpu(&allowed));
	for (unsigned i = 0; i < config->ncores; i++)
		len += snprintf(
			lcores + len, sizeof(lcores) - (size_t)len, ",%u@%d", i + 1, config->cores[i]);
	push(&args, "sluiced");
	push(&args, "--lcores=%s", lcores);
	push(&args, "--no-telemetry");
	push(&args, "--log-level=error");
	push(&args, "--file-prefix=sluice"); /* shares no files: neither mode below makes any */
	push(&args, "-a");
	push(&args, "0000:00:00.0"); /* devices come by dp_port_add, none by itself */
	if (use_huge(config)) {
		push(&args, "--in-memory");
	} else {
		push(&args, "--no-huge");
		push(&args, "--no-shconf");
		push(&args, "-m");
		push(&args, "%u", config->memory_mb);
	}
	if (rte_eal_init(args.count, args.list) < 0)
		return dp_fail(err, -rte_errno, "DPDK did not start: %s", rte_strerror(rte_errno));
	if (config->main_core < 0)
		sched_setaffinity(0, sizeof(allowed), &allowed);
	return 0;
}

void dp_abandon(void)
{
	rmdir(rte_eal_get_runtime_dir());
}

void eal_stop(void)
{
	const char *dir = rte_eal_get_runtime_dir();

	rte_eal_cleanup();
	rmdir(dir); /* stays while another daemon uses it */
}
