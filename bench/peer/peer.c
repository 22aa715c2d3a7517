#include "bench/peer/peer.h"

#include <assert.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/front/front.h"
#include "bench/host/host.h"
#include "bench/peer/null.h"
#include "bench/peer/program.h"
#include "bench/traffic/traffic.h"

enum { EXIT_SKIP = 77, OUTER = 128 };

static void set_number(const char *name, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", value);
	setenv(name, text, 1);
}

static void set_environment(const struct peer *p, const struct peer_setup *setup)
{
	const struct options *o = p->opt;
	char bin[PATH_MAX], sockets[256];
	ssize_t n = readlink("/proc/self/exe", bin, sizeof(bin) - 1);

	bin[n > 0 ? n : 0] = '\0';
	*(strrchr(bin, '/') ? strrchr(bin, '/') : bin) = '\0';
	setenv("BENCH_BIN", bin, 1);
	setenv("BENCH_DIR", p->dir, 1);
	set_number("BENCH_WORKER_CORE", o->worker_core);
	set_number("BENCH_MAIN_CORE", o->generator_core);
	set_number("BENCH_HUGE_MB", o->huge_mb);
	setenv("BENCH_SCENARIO", setup->scenario, 1);
	set_number("BENCH_PORTS", setup->ports);
	set_number("BENCH_COUNT", setup->count);
	set_number("BENCH_SIZE", setup->size);
	set_number("BENCH_CONNECTS", o->backend_connects);
	setenv("BENCH_RING", o->packed ? "packed" : "split", 1);
	if (o->sockets[0]) {
		snprintf(sockets, sizeof(sockets), "%s,%s", o->sockets[0], o->sockets[1]);
		setenv("BENCH_SOCKETS", sockets, 1);
	}
	if (o->control)
		setenv("BENCH_CONTROL", o->control, 1);
}

static int run(struct peer *p, const char *verb, void (*line)(void *, const char *), char *error)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", p->opt->peer_dir, p->name);
	return program_run(path, verb, line, p, error);
}

static void take_end(struct peer *p, const char *value)
{
	struct stream_end *end = &p->end[p->n_ends];

	if (p->n_ends < PEER_MAX_ENDS &&
		sscanf(value, "%15s %95s %47s", end->name, end->netns, end->address) == 3)
		p->n_ends++;
}

static void take_entry(struct peer *p, const char *value)
{
	struct peer_entry *entry = &p->entry[p->n_entries];

	static_assert(KIND_VARIANT == 24, "the format's");
	if (p->n_entries < PEER_MAX_ENTRIES &&
		sscanf(value, "%47s %" SCNu16 " %23[^\n]", entry->address, &entry->port, entry->variant) == 3)
		p->n_entries++;
}

static void take_up_line(void *context, const char *text)
{
	struct peer *p = context;
	size_t key = strcspn(text, " ");
	const char *value = text + key + strspn(text + key, " ");

	if (strncmp(text, "socket", key) == 0 && p->n_sockets < PEER_MAX_PORTS)
		snprintf(p->socket[p->n_sockets++], sizeof(p->socket[0]), "%s", value);
	else if (strncmp(text, "connects", key) == 0)
		p->connects = true;
	else if (strncmp(text, "end", key) == 0)
		take_end(p, value);
	else if (strncmp(text, "entry", key) == 0)
		take_entry(p, value);
	else if (strncmp(text, "process", key) == 0 && p->n_processes < PEER_MAX_PROCESSES)
		p->process[p->n_processes++] = (pid_t)strtol(value, NULL, 10);
	else if (strncmp(text, "pid", key) == 0)
		p->pid = (pid_t)strtol(value, NULL, 10);
	else if (strncmp(text, "registry", key) == 0)
		sscanf(value, "%" SCNu16 " %" SCNu16, &p->registry_http, &p->registry_dns);
	else if (strncmp(text, "mac", key) == 0)
		sscanf(value, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &p->mac[0], &p->mac[1], &p->mac[2], &p->mac[3],
			&p->mac[4], &p->mac[5]);
	else if (strncmp(text, "version", key) == 0)
		snprintf(p->version, sizeof(p->version), "%s", value);
	else if (strncmp(text, "command", key) == 0)
		snprintf(p->command, sizeof(p->command), "%s", value);
}

static int make_fronts(struct peer *p, const struct peer_setup *setup, struct front **fronts)
{
	unsigned size = setup->size + OUTER; /* outer headers may come before it */

	for (unsigned i = 0; i < setup->ports; i++) {
		struct front_options opt = {.socket = p->n_sockets ? p->socket[i] : NULL,
			.listen = p->connects,
			.ring_size = p->opt->ring,
			.features = FRONT_FEATURES | (p->opt->packed ? FRONT_BIT(VIRTIO_F_RING_PACKED) : 0),
			.buffer_size = size > 1536 ? size : 1536,
			.pages = p->opt->huge_mb ? FRONT_PAGES_AUTO : FRONT_PAGES_SMALL,
			.timeout_ms = 10000};
		int rc = front_create(&fronts[i], &opt);

		if (rc < 0) {
			warnx("%s: port %u: %s", p->name, i, strerror(-rc));
			return -1;
		}
	}
	return 0;
}

static int null_up(struct peer *p, const struct peer_setup *setup, struct front **fronts)
{
	snprintf(p->version, sizeof(p->version), "%s", SLUICE_VERSION);
	snprintf(p->command, sizeof(p->command), "a thread that copies each frame once and checks nothing");
	if (setup->ports != 2 || p->opt->packed) {
		snprintf(p->skipped, sizeof(p->skipped), "it joins two ports with split rings, no more");
		return -ENOTSUP;
	}
	if (make_fronts(p, setup, fronts) < 0)
		return -1;
	p->null = null_start(fronts, p->opt->worker_core, strcmp(setup->scenario, "wake") == 0);
	if (!p->null)
		warnx("null: no memory or thread");
	return p->null ? 0 : -1;
}

static int program_up(struct peer *p, const struct peer_setup *setup, struct front **fronts)
{
	char error[256];
	int rc;

	snprintf(p->dir, sizeof(p->dir), "/tmp/sluice-bench-%d-XXXXXX", getpid());
	if (!mkdtemp(p->dir)) {
		warn("%s", p->dir);
		p->dir[0] = '\0';
		return -1;
	}
	set_environment(p, setup);
	rc = run(p, "up", take_up_line, error);
	if (rc == EXIT_SKIP || rc == -ENOENT) {
		snprintf(p->skipped, sizeof(p->skipped), "%s", error);
		return -ENOTSUP;
	}
	if (rc == 0 && setup->or_a_proxy && p->n_sockets == 0 && p->registry_http)
		return 0;
	if (rc != 0 || p->n_sockets != setup->ports) {
		warnx("%s: up: %s", p->name, error[0] ? error : "it did not name a socket for each port");
		return -1;
	}
	if (make_fronts(p, setup, fronts) < 0)
		return -1;
	for (unsigned i = 0; i < setup->ports; i++) {
		if (front_connect(fronts[i]) < 0) {
			warnx("%s: port %u: %s", p->name, i, front_error(fronts[i]));
			return -1;
		}
	}
	return 0;
}

int peer_up(struct peer *p, const struct peer_setup *setup, struct front *fronts[PEER_MAX_PORTS])
{
	p->n_sockets = 0;
	p->n_ends = p->n_entries = p->n_processes = 0;
	p->connects = false;
	p->pid = 0;
	p->registry_http = p->registry_dns = 0;
	memset(p->mac, 0, sizeof(p->mac));
	for (unsigned i = 0; i < PEER_MAX_PORTS; i++)
		fronts[i] = NULL;
	if (strcmp(p->name, "null") == 0)
		return null_up(p, setup, fronts);
	return program_up(p, setup, fronts);
}

double peer_process_s(const struct peer *p)
{
	double sum = 0;

	for (unsigned i = 0; i < p->n_processes; i++)
		sum += host_process_s(p->process[i]);
	return sum;
}

void peer_measure_begin(struct peer *p)
{
	char error[256];

	share_begin(&p->share, p->pid);
	if (p->null)
		null_reset(p->null);
	else if (run(p, "reset", NULL, error) != 0)
		warnx("%s: reset: %s", p->name, error);
}

static void take_cycles_line(void *context, const char *text)
{
	static const char key[] = "cycles_per_packet ";
	struct peer *p = context;
	struct trial_stage *stage = &p->stage[p->n_stages];
	uint64_t ms;
	double us;

	if (strncmp(text, key, sizeof(key) - 1) == 0)
		p->cycles_per_packet = strtod(text + sizeof(key) - 1, NULL);
	else if (strncmp(text, "balancing ", 10) == 0)
		p->balancing = strtod(text + 10, NULL);
	else if (strncmp(text, "learned ", 8) == 0)
		p->learned = strtoull(text + 8, NULL, 10);
	else if (sscanf(text, "gap %lf %" SCNu64, &us, &ms) == 2 && us >= 0)
		histogram_add(&p->gaps, (uint64_t)(us * 1e3), ms);
	else if (p->n_stages < TRIAL_STAGES &&
		 sscanf(text, "stage %23s %lf", stage->name, &stage->cycles_per_packet) == 2)
		p->n_stages++;
}

void peer_measure_end(struct peer *p)
{
	char error[256];

	p->cycles_per_packet = p->balancing = 0;
	p->n_stages = 0;
	p->learned = 0;
	memset(&p->gaps, 0, sizeof(p->gaps));
	p->worker_away_ms = 0;
	if (p->null)
		p->cycles_per_packet = null_cycles_per_packet(p->null);
	else if (run(p, "cycles", take_cycles_line, error) != 0)
		warnx("%s: cycles: %s", p->name, error);
	p->worker_share_pct =
		p->null ? null_share_pct(p->null) : share_end_pct(&p->share, p->pid, &p->worker_away_ms);
}

static void take_change_line(void *context, const char *text)
{
	int *made = context;

	sscanf(text, "changes %d", made);
}

int peer_change(struct peer *p, const char *kind, unsigned n, char error[256])
{
	char path[PATH_MAX];
	int rc, made = 0;

	if (p->null) {
		snprintf(error, 256, "it has nothing to change");
		return -ENOTSUP;
	}
	setenv("BENCH_CHANGE", kind, 1);
	set_number("BENCH_CHANGES", n);
	snprintf(path, sizeof(path), "%s/%s", p->opt->peer_dir, p->name);
	rc = program_run(path, "change", take_change_line, &made, error);
	if (rc == EXIT_SKIP)
		return -ENOTSUP;
	if (rc == 0 && made == 0)
		snprintf(error, 256, "it did not say how many changes it made");
	return rc == 0 && made > 0 ? made : -1;
}

/* Waits until the main thread is stopped, or is not any more. The other threads stop on their next interrupt.
 */
static void wait_stopped(pid_t pid, bool stopped)
{
	enum { STEP_US = 1000, STEPS = 500 };
	char path[32], state = '?';

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (unsigned i = 0; i < STEPS && (i == 0 || (state == 'T') != stopped); i++) {
		FILE *file = fopen(path, "re");

		if (!file)
			return;
		if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		fclose(file);
		usleep(STEP_US);
	}
}

void peer_pause(struct peer *p)
{
	if (p->null)
		null_pause(p->null, true);
	else if (p->pid > 0 && kill(p->pid, SIGSTOP) == 0)
		wait_stopped(p->pid, true);
}

void peer_resume(struct peer *p)
{
	if (p->null)
		null_pause(p->null, false);
	else if (p->pid > 0 && kill(p->pid, SIGCONT) == 0)
		wait_stopped(p->pid, false);
}

void peer_down(struct peer *p, struct front *fronts[PEER_MAX_PORTS])
{
	char error[256];

	null_stop(p->null);
	p->null = NULL;
	for (unsigned i = 0; i < PEER_MAX_PORTS; i++) {
		front_destroy(fronts[i]);
		fronts[i] = NULL;
	}
	if (!p->dir[0])
		return;
	if (run(p, "down", NULL, error) != 0 && !p->skipped[0])
		warnx("%s: down: %s", p->name, error);
	if (rmdir(p->dir) < 0 && errno != ENOENT)
		warn("%s: left behind", p->dir);
	p->dir[0] = '\0';
	p->pid = 0;
}
