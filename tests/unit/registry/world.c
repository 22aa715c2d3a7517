#include "tests/unit/registry/world.h"

#include <sys/socket.h>
#include <time.h>

enum { PATIENCE_S = 20 }; /* until a loop that goes on for ever is called a failure */

struct ip_addr ip(const char *text)
{
	struct ip_addr address = {0};

	assert_true(ip_parse(text, &address));
	return address;
}

static void told(struct world *w, const char *text)
{
	size_t used = strlen(w->told);

	snprintf(w->told + used, sizeof(w->told) - used, "%s", text);
}

static void on_apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation)
{
	struct world *w = ctx;
	char place[IP_PORT_TEXT], text[REG_SERVICE_MAX + 32];

	snprintf(text, sizeof(text), "%llu %s%s", (unsigned long long)generation, service->name,
		gone ? " gone" : "");
	told(w, text);
	for (size_t i = 0; i < nbackend; i++) {
		ip_port_text(backends[i]->address, backends[i]->port, place);
		snprintf(text, sizeof(text), " %s=%u%s%s", place, reg_backend_weight(backends[i]),
			backends[i]->port_down ? "!" : "", backends[i]->balanced ? "" : "~");
		told(w, text);
	}
	told(w, "\n");
}

const char *world_told(struct world *w)
{
	static char text[sizeof(w->told)];

	memcpy(text, w->told, sizeof(text));
	w->told[0] = '\0';
	return text;
}

static int on_socket(void *ctx, const char *network, int domain, int type)
{
	struct world *w = ctx;
	int fd;

	snprintf(w->socket_network, sizeof(w->socket_network), "%s", network);
	w->sockets++;
	if (w->socket_error)
		return -w->socket_error;
	fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd > w->highest_fd)
		w->highest_fd = fd;
	return fd < 0 ? -errno : fd;
}

static uint64_t on_netns_id(void *ctx, const char *network)
{
	struct world *w = ctx;

	return w->netns_id;
}

static bool on_reaches(void *ctx, const char *network, struct ip_addr address)
{
	uint32_t host = ntohl(ip_to4(address));

	if (strcmp(network, "web") == 0)
		return host >> 16 == 0x0a01;
	return strcmp(network, "lo") == 0 && host >> 24 == 127;
}

static int on_port_state(void *ctx, const char *network, struct ip_addr address)
{
	struct world *w = ctx;

	for (unsigned i = 0; i < w->nports; i++)
		if (ip_equal(w->ports[i].address, address) &&
			(!network[0] || strcmp(w->ports[i].network, network) == 0))
			return w->ports[i].state;
	return -1;
}

static void on_log(void *ctx, int level, const char *about, const char *line)
{
	struct world *w = ctx;

	w->log_lines++;
}

static void on_kept(void *ctx, const char *file, const char *why)
{
	struct world *w = ctx;

	snprintf(w->not_kept, sizeof(w->not_kept), "%s", why ? why : "");
}

static int on_traffic(
	void *ctx, const char *service, struct ip_addr address, uint16_t port, struct reg_traffic *traffic)
{
	struct world *w = ctx;

	w->asked++;
	for (unsigned i = 0; i < WORLD_TRAFFIC; i++) {
		if (!ip_equal(w->traffic[i].address, address))
			continue;
		*traffic = w->traffic[i].seen;
		return 0;
	}
	return -ENOENT;
}

int world_setup(void **state)
{
	struct event_config *config = event_config_new();
	const struct ip_prefix loopback = {ip("127.0.0.1"), IP_PREFIX4 + 8};
	struct world *w = calloc(1, sizeof(*w));
	const struct registry_sink sink = {
		.ctx = w,
		.apply = on_apply,
		.socket = on_socket,
		.netns_id = on_netns_id,
		.reaches = on_reaches,
		.port_state = on_port_state,
		.log = on_log,
		.traffic = on_traffic,
		.kept = on_kept,
	};

	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	w->base = event_base_new_with_config(config);
	event_config_free(config);
	assert_int_equal(registry_new(w->base, &sink, &w->reg), 0);
	assert_int_equal(registry_check_targets(w->reg, &loopback, 1, true), 0);
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	registry_free(w->reg);
	event_base_free(w->base);
	free(w);
	return 0;
}

void world_port(struct world *w, const char *network, const char *address, int state)
{
	unsigned i = 0;

	while (i < w->nports &&
		(!ip_equal(w->ports[i].address, ip(address)) || strcmp(w->ports[i].network, network) != 0))
		i++;
	assert_true(i < WORLD_PORTS);
	if (i == w->nports)
		w->nports++;
	snprintf(w->ports[i].network, sizeof(w->ports[i].network), "%s", network);
	w->ports[i].address = ip(address);
	w->ports[i].state = state;
}

void world_port_changed(struct world *w, const char *network, const char *address, int state)
{
	world_port(w, network, address, state);
	registry_port_changed(w->reg, network, ip(address), state);
}

struct reg_service world_service(const char *name)
{
	struct reg_service service = {.network = "web",
		.vip = ip("10.1.0.100"),
		.port = 80,
		.protocol = REG_TCP,
		.policy = "maglev",
		.source = "api"};

	snprintf(service.name, sizeof(service.name), "%s", name);
	return service;
}

struct reg_backend world_backend(const char *address, uint16_t port)
{
	return (struct reg_backend){.address = ip(address), .port = port, .weight = 1, .source = "api"};
}

struct reg_check world_check(enum reg_check_type type)
{
	return (struct reg_check){.type = type, .interval_ms = 20, .timeout_ms = 5000, .rise = 1, .fall = 1};
}

void world_add_service(struct world *w, const struct reg_service *service)
{
	w->err.text[0] = '\0';
	registry_service_add(w->reg, service, &w->err);
	assert_string_equal(w->err.text, "");
}

void world_add_backend(struct world *w, const char *service, const char *address, uint16_t port)
{
	struct reg_backend backend = world_backend(address, port);

	w->err.text[0] = '\0';
	registry_backend_add(w->reg, service, &backend, &w->err);
	assert_string_equal(w->err.text, "");
}

const struct reg_backend *world_find(struct world *w, const char *service, const char *id)
{
	const struct reg_backend *backend = registry_backend_find(w->reg, service, id);

	assert_non_null(backend);
	return backend;
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {}

/* One turn of the loop, a tenth of a second at most; false once patience is at an end. */
static bool turn(struct world *w, time_t *end)
{
	static const struct timeval tick = {.tv_usec = 100000};
	struct event *timer = event_new(w->base, -1, 0, on_tick, NULL);
	time_t now = time(NULL);

	assert_non_null(timer);
	event_add(timer, &tick);
	event_base_loop(w->base, EVLOOP_ONCE);
	event_free(timer);
	if (!*end)
		*end = now + PATIENCE_S;
	return now < *end;
}

void world_until(struct world *w, const char *service, const char *id, enum reg_health health)
{
	time_t end = 0;

	while (world_find(w, service, id)->health != health)
		if (!turn(w, &end))
			fail_msg("backend %s stays %s (%s), never %s", id,
				reg_health_name(world_find(w, service, id)->health),
				world_find(w, service, id)->output, reg_health_name(health));
}

void world_until_count(struct world *w, const unsigned *counter, unsigned value)
{
	time_t end = 0;

	while (*counter < value)
		if (!turn(w, &end))
			fail_msg("the count stays at %u, never reaches %u", *counter, value);
}
