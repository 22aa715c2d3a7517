/*
 * A hundred thousand random changes, in batches or not. After each commit the sink's picture, put together
 * from what it was told alone, is the registry's own; generations rise by one; a watch has heard of just the
 * services that changed. Which ports are up is kept beside the registry, and health must follow from it.
 */
#include "tests/unit/registry/world.h"

enum { SERVICES = 6, HOSTS = 8, SOAK_CHECKS = 3, OPS = 100000 };

struct picture {
	bool there;
	uint64_t generation;
	size_t count;
	struct reg_backend backend[HOSTS];
};

struct soak {
	struct event_base *base;
	struct registry *reg;
	struct picture told[SERVICES]; /* by the sink's calls */
	uint64_t generation;	       /* of the last of them */
	int port[HOSTS];	       /* 1, 0, -1: as the sink tells */
	struct registry_watch *watch[SERVICES];
	uint64_t heard[SERVICES];
	uint32_t random;
};

static unsigned pick(struct soak *s, unsigned below)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	return s->random % below;
}

static unsigned number_of(const char *name)
{
	return (unsigned)(name[1] - '0');
}

/* Of both families. */
static struct ip_addr host_address(unsigned host)
{
	struct ip_addr address = ip(host % 2 ? "fd00::" : "10.1.0.0");

	address.b[15] = (uint8_t)host;
	return address;
}

static void on_apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation)
{
	struct soak *s = ctx;
	struct picture *p = &s->told[number_of(service->name)];

	assert_true(generation == s->generation || generation == s->generation + 1);
	s->generation = generation;
	assert_true(nbackend <= HOSTS);
	*p = (struct picture){.there = !gone, .generation = generation, .count = nbackend};
	for (size_t i = 0; i < nbackend; i++)
		p->backend[i] = *backends[i];
}

static int on_socket(void *ctx, const char *network, int domain, int type)
{
	return -ENETUNREACH;
}

static bool on_reaches(void *ctx, const char *network, struct ip_addr address)
{
	return true;
}

static int on_port_state(void *ctx, const char *network, struct ip_addr address)
{
	const struct soak *s = ctx;

	return s->port[address.b[15]];
}

static void on_log(void *ctx, int level, const char *about, const char *line) {}

static void on_watch(void *arg, const char *service, uint64_t generation)
{
	struct soak *s = arg;

	assert_true(s->heard[number_of(service)] != generation);
	s->heard[number_of(service)] = generation;
}

static struct reg_service any_service(struct soak *s, const char *name)
{
	struct reg_service service = {.network = "web", .port = 80, .protocol = REG_TCP, .source = "api"};

	snprintf(service.name, sizeof(service.name), "%s", name);
	if (pick(s, 2))
		service.vip = ip_from4(htonl(0x0a010901 + number_of(name)));
	if (pick(s, 2))
		service.check = world_check(pick(s, 2) ? REG_CHECK_TCP : REG_CHECK_PORT);
	return service;
}

static struct reg_backend any_backend(struct soak *s)
{
	static const char *const ids[SOAK_CHECKS] = {"a", "b", "c"};
	static struct reg_check checks[SOAK_CHECKS]; /* the registry copies them */
	unsigned shift = pick(s, SOAK_CHECKS);
	struct reg_backend backend = {
		.address = host_address(pick(s, HOSTS)), .port = 80, .weight = 1, .source = "api"};

	backend.weight = (uint16_t)pick(s, 3);
	backend.drained = pick(s, 4) == 0;
	backend.own_checks = pick(s, 3) == 0;
	backend.ncheck = backend.own_checks ? (uint16_t)pick(s, SOAK_CHECKS + 1) : 0;
	backend.checks = checks;
	for (unsigned i = 0; i < backend.ncheck; i++) {
		checks[i] = world_check(pick(s, 2) ? REG_CHECK_TCP : REG_CHECK_TTL);
		checks[i].id = ids[(i + shift) % SOAK_CHECKS];
	}
	return backend;
}

static void change_port(struct soak *s)
{
	unsigned host = pick(s, HOSTS);

	s->port[host] = (int)pick(s, 3) - 1;
	registry_port_changed(s->reg, "web", host_address(host), s->port[host]);
}

static void change_watch(struct soak *s, const char *name)
{
	struct registry_watch **watch = &s->watch[number_of(name)];

	if (*watch) {
		registry_unwatch(*watch);
		*watch = NULL;
	} else {
		*watch = registry_watch(s->reg, name, on_watch, s);
		assert_non_null(*watch);
		s->heard[number_of(name)] = registry_service_generation(s->reg, name);
	}
}

static void change_something(struct soak *s)
{
	char name[] = {'s', (char)('0' + pick(s, SERVICES)), '\0'}, id[IP_PORT_TEXT];
	struct reg_service service = any_service(s, name);
	struct reg_backend backend = any_backend(s);

	ip_port_text(backend.address, 80, id);
	switch (pick(s, 16)) { /* refusals are as good as changes */
	case 0:
		registry_service_del(s->reg, name, NULL);
		break;
	case 1 ... 2:
		registry_service_add(s->reg, &service, NULL);
		break;
	case 3:
		registry_service_set(s->reg, &service, NULL);
		break;
	case 4 ... 7:
		registry_backend_add(s->reg, name, &backend, NULL);
		break;
	case 8 ... 9:
		registry_backend_set(s->reg, name, &backend, NULL);
		break;
	case 10 ... 11:
		registry_backend_del(s->reg, name, id, NULL);
		break;
	case 12:
		change_watch(s, name);
		break;
	default:
		change_port(s);
	}
}

struct comparison {
	struct soak *s;
	const struct picture *picture;
	size_t seen;
};

static bool same_backend(void *arg, const struct reg_backend *now)
{
	struct comparison *c = arg;
	const struct reg_backend *told = &c->picture->backend[c->seen++];
	int port = c->s->port[now->address.b[15]];

	assert_string_equal(told->id, now->id);
	assert_int_equal(told->health, now->health);
	assert_int_equal(told->weight, now->weight);
	assert_int_equal(told->port_down, now->port_down);
	assert_int_equal(told->balanced, now->balanced);
	/* one that is there is followed, one that is gone is remembered as down or was never known */
	if (port >= 0)
		assert_int_equal(now->port_down, port == 0);
	if (now->drained)
		assert_int_equal(now->health, REG_DRAINING);
	else if (now->port_down)
		assert_int_equal(now->health, REG_CRITICAL);
	return true;
}

static void compare(struct soak *s)
{
	assert_int_equal(registry_generation(s->reg), s->generation);
	for (unsigned i = 0; i < SERVICES; i++) {
		char name[] = {'s', (char)('0' + i), '\0'};
		struct comparison c = {.s = s, .picture = &s->told[i]};

		assert_int_equal(registry_service_find(s->reg, name) != NULL, c.picture->there);
		if (!c.picture->there)
			continue;
		assert_int_equal(registry_service_generation(s->reg, name), c.picture->generation);
		if (s->watch[i])
			assert_int_equal(s->heard[i], c.picture->generation);
		registry_backend_walk(s->reg, name, same_backend, &c);
		assert_int_equal(c.seen, c.picture->count);
	}
}

static void the_sink_has_the_registrys_picture(void **state)
{
	struct soak s = {.base = event_base_new(), .random = 20221111};
	const struct registry_sink sink = {
		.ctx = &s,
		.apply = on_apply,
		.socket = on_socket,
		.reaches = on_reaches,
		.port_state = on_port_state,
		.log = on_log,
	};

	for (unsigned i = 0; i < HOSTS; i++)
		s.port[i] = (int)(i % 3) - 1;
	assert_int_equal(registry_new(s.base, &sink, &s.reg), 0);
	for (unsigned i = 0; i < OPS; i++) {
		if (pick(&s, 4)) {
			change_something(&s);
		} else {
			registry_batch_begin(s.reg);
			for (unsigned n = pick(&s, 6); n > 0; n--)
				change_something(&s);
			registry_batch_end(s.reg);
		}
		if (i % 64 == 0)
			event_base_loop(s.base, EVLOOP_NONBLOCK);
		compare(&s);
	}
	assert_true(s.generation > OPS / 4);
	registry_free(s.reg);
	event_base_free(s.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sink_has_the_registrys_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
