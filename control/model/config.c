#include "control/model/config.h"

#include <sched.h>
#include <string.h>

#include "control/base/params.h"

static const char *const hugepages_choices[] = {"auto", "on", "off", NULL};
static const char *const idle_choices[] = {"adaptive", "poll", "interrupt", NULL};

const struct api_field dataplane_fields[] = {
	{"main_core", API_INT, "CPU of the control thread; -1: any (default: the first)", .min = -1,
		.max = 1023},
	{"cores", API_LIST, "CPUs of the workers, one each (default: the one after main_core)",
		.item = API_INT, .min = 1, .max = MODEL_CORES_MAX},
	{"memory_mb", API_INT, "memory for DPDK, touched as it is needed", .min = 16, .max = 1048576,
		.def = "512"},
	{"hugepages", API_ENUM, "auto: where there are any", .choices = hugepages_choices, .def = "\"auto\""},
	{"idle", API_ENUM, "what a worker without traffic does: adaptive polls, then sleeps",
		.choices = idle_choices, .def = "\"adaptive\""},
	{"fdb_size", API_INT, "entries of the MAC table", .min = 1024, .max = 16777216, .def = "65536"},
	{"conn_size", API_INT, "connections through vips", .min = 1024, .max = 67108864, .def = "262144"},
	{"backends", API_INT, "backends of all vips together, one for each port of a vip", .min = 1024,
		.max = DP_BACKENDS_MAX, .def = "16384"},
	{NULL},
};

static unsigned choice(const json_t *object, const char *field, const char *const *choices)
{
	const char *text = param_str(object, field);

	for (unsigned i = 0; text && choices[i]; i++)
		if (!strcmp(text, choices[i]))
			return i;
	return 0;
}

/* The first CPU of `set` after `cpu`, or `absent`. */
static int next_cpu(const cpu_set_t *set, int cpu, int absent)
{
	for (int i = cpu + 1; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, set))
			return i;
	return absent;
}

/* The CPUs that the process was started on (taskset), and those that it may be moved to (its cpuset). */
static int read_cpus(cpu_set_t *own, cpu_set_t *reachable)
{
	cpu_set_t all;

	CPU_ZERO(own);
	CPU_ZERO(reachable);
	memset(&all, 0xff, sizeof(all));
	if (sched_getaffinity(0, sizeof(*own), own) < 0)
		return -1;
	*reachable = *own;
	if (sched_setaffinity(0, sizeof(all), &all) < 0)
		return 0;
	if (sched_getaffinity(0, sizeof(*reachable), reachable) < 0)
		*reachable = *own;
	return sched_setaffinity(0, sizeof(*own), own);
}

/* Without a list one worker, on a CPU that the process was started on; a list may name any that it may be
 * moved to. */
static int read_cores(const json_t *list, const cpu_set_t *own, const cpu_set_t *usable, int main_core,
	int *cores, struct api_err *err)
{
	int n = (int)json_array_size(list);

	if (n == 0) {
		cores[0] = next_cpu(own, main_core, next_cpu(own, -1, 0));
		return 1;
	}
	for (int i = 0; i < n; i++) {
		cores[i] = (int)json_integer_value(json_array_get(list, (size_t)i));
		if (cores[i] < 0 || cores[i] >= CPU_SETSIZE || !CPU_ISSET((size_t)cores[i], usable))
			return api_fail(
				err, API_INVALID, "dataplane.cores", "no CPU %d for this process", cores[i]);
		for (int j = 0; j < i; j++)
			if (cores[i] == cores[j])
				return api_fail(err, API_INVALID, "dataplane.cores", "CPU %d is named twice",
					cores[i]);
	}
	return n;
}

int model_config_read(const json_t *dataplane, bool no_huge, struct dp_config *config,
	int cores[MODEL_CORES_MAX], struct api_err *err)
{
	struct dp_err why = {""};
	cpu_set_t own, usable;
	int main_core, ncores;

	if (read_cpus(&own, &usable) < 0)
		return api_fail(err, API_INTERNAL, NULL, "cannot read the CPU affinity of the process");
	main_core = (int)param_int(dataplane, "main_core", next_cpu(&own, -1, 0));
	if (main_core >= CPU_SETSIZE || (main_core >= 0 && !CPU_ISSET((size_t)main_core, &usable)))
		return api_fail(
			err, API_INVALID, "dataplane.main_core", "no CPU %d for this process", main_core);
	ncores = read_cores(json_object_get(dataplane, "cores"), &own, &usable, main_core, cores, err);
	if (ncores < 0)
		return -1;

	config->main_core = main_core;
	config->cores = cores;
	config->ncores = (unsigned)ncores;
	config->memory_mb = (unsigned)param_int(dataplane, "memory_mb", 512);
	config->hugepages = (enum dp_hugepages)choice(dataplane, "hugepages", hugepages_choices);
	config->idle = (enum dp_idle)choice(dataplane, "idle", idle_choices);
	config->fdb_size = (uint32_t)param_int(dataplane, "fdb_size", 65536);
	config->conn_size = (uint32_t)param_int(dataplane, "conn_size", 262144);
	config->backends = (uint32_t)param_int(dataplane, "backends", 16384);
	if (no_huge)
		config->hugepages = DP_HUGE_OFF;
	return dp_check(config, &why) < 0 ? api_fail(err, API_INVALID, NULL, "%s", why.text) : 0;
}
