/*
 * bench-checks [SECONDS]: what checks cost the control thread, and how late they come. A registry with its
 * own loop checks listeners on the loopback, every check once a second; beside it stands what the kernel
 * takes for the same connections when nothing else is done.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "registry/registry.h"

enum { BACKLOG = 4096, BATCH = 40, FLOOR_PROBES = 4000, FILLERS = 4 };

struct run {
	const char *name;
	unsigned checks;
	enum reg_check_type type;
	bool silent; /* nobody accepts: every check times out */
};

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void answer(int fd, enum reg_check_type type)
{
	static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
	char request[512];

	if (type == REG_CHECK_HTTP && recv(fd, request, sizeof(request), 0) > 0)
		(void)send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
	close(fd);
}

static int listener(int backlog, struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*at);

	*at = (struct sockaddr_in){.sin_family = AF_INET};
	if (fd < 0 || bind(fd, (struct sockaddr *)at, size) < 0 || listen(fd, backlog) < 0 ||
		getsockname(fd, (struct sockaddr *)at, &size) < 0)
		err(1, "listen");
	return fd;
}

static pid_t serve(int fd, enum reg_check_type type)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int peer;;)
		if ((peer = accept(fd, NULL, NULL)) >= 0)
			answer(peer, type);
}

/* Fills the backlog, so that the kernel drops what else comes. */
static void fill(const struct sockaddr_in *at, int fillers[FILLERS])
{
	for (int i = 0; i < FILLERS; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fillers[i], (const struct sockaddr *)at, sizeof(*at));
	}
}

static int socket_reset_on_close(void)
{
	static const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		err(1, "socket");
	return fd;
}

/* With `keep` the sockets are only disconnected, and used again if there are any. */
static void connect_batch(const struct sockaddr_in *at, struct pollfd polled[BATCH], bool keep)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	for (unsigned i = 0; i < BATCH; i++) {
		if (polled[i].fd < 0)
			polled[i].fd = socket_reset_on_close();
		if (connect(polled[i].fd, (const struct sockaddr *)at, sizeof(*at)) < 0 &&
			errno != EINPROGRESS)
			err(1, "connect");
		polled[i].events = POLLOUT;
	}
	poll(polled, BATCH, 1000);
	for (unsigned i = 0; i < BATCH; i++) {
		if (keep) {
			if (connect(polled[i].fd, &nowhere, sizeof(nowhere)) < 0)
				err(1, "disconnect");
			continue;
		}
		close(polled[i].fd);
		polled[i].fd = -1;
	}
}

/* Microseconds of a core for one connection. */
static double measure_floor(bool keep)
{
	static const struct timespec pause = {.tv_nsec = 2000000};
	struct pollfd polled[BATCH];
	struct sockaddr_in at;
	int fd = listener(BACKLOG, &at);
	pid_t pid = serve(fd, REG_CHECK_TCP);
	double used = 0;

	for (unsigned i = 0; i < BATCH; i++)
		polled[i].fd = -1;
	for (unsigned n = 0; n < FLOOR_PROBES; n += BATCH) {
		double start = cpu_s();

		connect_batch(&at, polled, keep);
		used += cpu_s() - start;
		nanosleep(&pause, NULL);
	}
	kill(pid, SIGKILL);
	close(fd);
	for (unsigned i = 0; i < BATCH; i++)
		if (polled[i].fd >= 0)
			close(polled[i].fd);
	return used * 1e6 / FLOOR_PROBES;
}

static void on_apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation)
{
}

static int on_socket(void *ctx, const char *network, int domain, int type)
{
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static uint64_t on_netns_id(void *ctx, const char *network)
{
	return 1;
}

static bool on_reaches(void *ctx, const char *network, struct ip_addr address)
{
	return true;
}

static int on_port_state(void *ctx, const char *network, struct ip_addr address)
{
	return -1;
}

static void on_log(void *ctx, int level, const char *about, const char *line) {}

static void add_checks(struct registry *reg, const struct run *run, uint16_t port)
{
	struct reg_check check = {.type = run->type,
		.interval_ms = 1000,
		.timeout_ms = run->silent ? 100 : 900,
		.rise = 1,
		.fall = 1};
	struct reg_service service = {.name = "api", .source = "api", .check = check};
	struct reg_backend backend = {.port = port, .weight = 1, .source = "api"};
	struct reg_err why;

	registry_batch_begin(reg);
	if (registry_service_add(reg, &service, &why) < 0)
		errx(1, "%s", why.text);
	for (unsigned i = 0; i < run->checks; i++) {
		backend.address = ip_from4(htonl(INADDR_LOOPBACK + i));
		if (registry_backend_add(reg, "api", &backend, &why) < 0)
			errx(1, "%s", why.text);
	}
	registry_batch_end(reg);
}

static void loop_for(struct event_base *base, unsigned seconds)
{
	const struct timeval end = {.tv_sec = seconds};

	event_base_loopexit(base, &end);
	event_base_dispatch(base);
}

/* The bound in milliseconds under which a share of the delays between two readings are; 0: above all. */
static unsigned delay_ms(const struct reg_checks_info *from, const struct reg_checks_info *to, double share)
{
	static const unsigned bounds[REG_DELAYS - 1] = REG_DELAY_BOUNDS_MS;
	uint64_t all = 0, sum = 0;

	for (unsigned i = 0; i < REG_DELAYS; i++)
		all += to->delays[i] - from->delays[i];
	for (unsigned i = 0; i < REG_DELAYS - 1; i++) {
		sum += to->delays[i] - from->delays[i];
		if ((double)sum >= share * (double)all)
			return bounds[i];
	}
	return 0;
}

static void print_delay(unsigned ms)
{
	if (ms)
		printf("  %7u ms", ms);
	else
		printf("  %10s", "more");
}

static void report(const struct run *run, const struct reg_checks_info *from,
	const struct reg_checks_info *to, double used, double wall)
{
	uint64_t probes = 0;

	for (unsigned i = 0; i < REG_CHECK_RESULTS; i++)
		probes += to->results[i] - from->results[i];
	printf("%-10s %7u %9.0f %8.1f %% %8.1f", run->name, run->checks, (double)probes / wall,
		100 * used / wall, probes ? used * 1e6 / (double)probes : 0);
	print_delay(delay_ms(from, to, 0.99));
	print_delay(delay_ms(from, to, 1));
	printf(" %8llu\n", (unsigned long long)(to->results[2] - from->results[2]));
	fflush(stdout);
}

static void take(const struct run *run, unsigned seconds)
{
	const struct ip_prefix loopback = {ip_from4(htonl(INADDR_LOOPBACK)), IP_PREFIX4 + 8};
	const struct registry_sink sink = {
		.apply = on_apply,
		.socket = on_socket,
		.netns_id = on_netns_id,
		.reaches = on_reaches,
		.port_state = on_port_state,
		.log = on_log,
	};
	struct event_base *base = event_base_new();
	struct reg_checks_info before, after;
	struct registry *reg;
	struct timespec start, end;
	struct sockaddr_in at;
	int fd = listener(run->silent ? 0 : BACKLOG, &at), fillers[FILLERS];
	pid_t pid = run->silent ? 0 : serve(fd, run->type);
	double used;

	if (!base || registry_new(base, &sink, &reg) < 0 ||
		registry_check_targets(reg, &loopback, 1, true) < 0)
		errx(1, "out of memory");
	if (run->silent)
		fill(&at, fillers);
	add_checks(reg, run, ntohs(at.sin_port));
	loop_for(base, 2);
	before = registry_checks_info(reg);
	clock_gettime(CLOCK_MONOTONIC, &start);
	used = cpu_s();
	loop_for(base, seconds);
	used = cpu_s() - used;
	clock_gettime(CLOCK_MONOTONIC, &end);
	after = registry_checks_info(reg);
	report(run, &before, &after, used,
		(double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9);
	registry_free(reg);
	event_base_free(base);
	for (int i = 0; run->silent && i < FILLERS; i++)
		close(fillers[i]);
	if (pid)
		kill(pid, SIGKILL);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct run runs[] = {
		{"tcp", 1000, REG_CHECK_TCP, false},
		{"tcp", 10000, REG_CHECK_TCP, false},
		{"http", 1000, REG_CHECK_HTTP, false},
		{"time-out", 1000, REG_CHECK_TCP, true},
	};
	struct rlimit files = {.rlim_cur = 4096, .rlim_max = 4096};
	long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;

	if (seconds < 1 || seconds > 3600)
		errx(2, "usage: bench-checks [SECONDS]");
	signal(SIGCHLD, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	printf("the kernel's part of a tcp check: %.1f us with a new socket, %.1f us with a used one\n",
		measure_floor(false), measure_floor(true));
	printf("%-10s %7s %9s %10s %8s  %10s  %10s %8s\n", "type", "checks", "probes/s", "core", "us each",
		"late, p99", "late, max", "failed");
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		take(&runs[i], (unsigned)seconds);
	return 0;
}
