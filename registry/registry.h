/*
 * registry.h: the service table. What services there are, who provides them, who is healthy.
 *
 * One thread (control's) calls everything here, and the registry runs on that thread's libevent base. It
 * knows nothing of DPDK or of the switch: what it decides goes out through struct registry_sink, and what it
 * cannot do itself (a socket inside a network) comes in through it.
 *
 * Functions return 0 or -errno; a failure leaves one line for the user in `err`. A call takes effect whole or
 * not at all. Each effective change is one commit: the generation rises by one and the sink hears of the
 * services that changed. IPv4 addresses are in network byte order, ports in host order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct registry;

#define REG_NAME_MAX 63 /* bytes of a name, without the end */
#define REG_ID_MAX 127

struct reg_err {
	char text[200];
};

enum reg_health { REG_PASSING, REG_WARNING, REG_CRITICAL, REG_DRAINING };
/** "passing", "warning", "critical", "draining". */
const char *reg_health_name(enum reg_health health);

enum reg_protocol { REG_TCP = 6, REG_UDP = 17 };

/* ttl, http, grpc and passive are for later: registry_service_put refuses them as unsupported */
enum reg_check_type {
	REG_CHECK_NONE,
	REG_CHECK_TTL,
	REG_CHECK_TCP,
	REG_CHECK_HTTP,
	REG_CHECK_GRPC,
	REG_CHECK_PORT,
	REG_CHECK_PASSIVE
};

struct reg_check {
	enum reg_check_type type;
	uint32_t interval_ms; /* 10..3600000 */
	uint32_t timeout_ms;  /* 1..600000 */
	uint8_t rise, fall;   /* successes to become passing, failures to become critical; 1..100 */
	char path[256];	      /* http */
};

struct reg_service {
	char name[REG_NAME_MAX + 1];
	char network[REG_NAME_MAX + 1]; /* "": none */
	uint32_t vip;			/* 0: none, only discoverable */
	uint16_t port;
	enum reg_protocol protocol;
	char policy[16];	/* "maglev" */
	struct reg_check check; /* the default of its backends */
	char source[16];	/* "config", "api", ... */
};

struct reg_backend {
	char id[REG_ID_MAX + 1]; /* "": "address:port" */
	uint32_t address;
	uint16_t port;
	uint16_t weight; /* 0..65535; 0: no new connections */
	bool has_check;	 /* its own check instead of the service's */
	struct reg_check check;
	bool drained; /* by the user */
	char source[16];
	/* told by the registry, ignored on the way in */
	enum reg_health health;
	bool port_down;	  /* the switch port that has its address is down */
	bool balanced;	  /* part of the vip's table now */
	char output[128]; /* what the last check said */
};

/* What the registry needs of its owner. */
struct registry_sink {
	void *ctx;
	/**
	 * The service changed: bring the dataplane to it. When it returns, the workers run on it. nbackend =
	 * 0 and gone = true: it was deleted.
	 */
	void (*apply)(void *ctx, const struct reg_service *service, const struct reg_backend *backends,
		size_t nbackend, bool gone, uint64_t generation);
	/** A non-blocking socket whose traffic starts inside `network` (at its gateway), or in the host when
	 * "". -errno. */
	int (*socket)(void *ctx, const char *network, int domain, int type);
	/** Is `address` inside the subnet of `network`? Then a vip may balance it. */
	bool (*reaches)(void *ctx, const char *network, uint32_t address);
	/** The switch port that has `address` in `network`: 1 up, 0 down, -1 there is none. */
	int (*port_state)(void *ctx, const char *network, uint32_t address);
	void (*log)(void *ctx, int level, const char *line); /* syslog levels */
};

int registry_new(struct event_base *base, const struct registry_sink *sink, struct registry **out);
/** Cancels every check, tells the sink nothing. NULL is allowed. */
void registry_free(struct registry *reg);

uint64_t registry_generation(const struct registry *reg);

/** Errors: -EEXIST, -EINVAL, -ENOTSUP. */
int registry_service_add(struct registry *reg, const struct reg_service *service, struct reg_err *err);
/** Replaces the definition, keeps the backends. Errors: -ENOENT, -EINVAL, -ENOTSUP. */
int registry_service_set(struct registry *reg, const struct reg_service *service, struct reg_err *err);
/** Deletes it with its backends. Errors: -ENOENT. */
int registry_service_del(struct registry *reg, const char *name, struct reg_err *err);

/** Errors: -ENOENT (service), -EEXIST (same id: by another source, or at all), -EINVAL. */
int registry_backend_add(
	struct registry *reg, const char *service, const struct reg_backend *backend, struct reg_err *err);
/** Changes weight, check and drained of the backend with backend->id (or address:port). */
int registry_backend_set(
	struct registry *reg, const char *service, const struct reg_backend *backend, struct reg_err *err);
int registry_backend_del(struct registry *reg, const char *service, const char *id, struct reg_err *err);

/** A port with `address` in `network` came up, went down, or (state -1) was removed. Acts at once. */
void registry_port_changed(struct registry *reg, const char *network, uint32_t address, int state);

/* Reading. Pointers stay valid until the next call that changes the registry. */
const struct reg_service *registry_service_find(struct registry *reg, const char *name);
const struct reg_backend *registry_backend_find(struct registry *reg, const char *service, const char *id);
void registry_service_walk(
	struct registry *reg, bool (*fn)(void *arg, const struct reg_service *service), void *arg);
void registry_backend_walk(struct registry *reg, const char *service,
	bool (*fn)(void *arg, const struct reg_backend *backend), void *arg);
/** Generation at which this service last changed, 0: no such service. */
uint64_t registry_service_generation(struct registry *reg, const char *name);

/** Calls fn after each commit that changed `service` ("" = any) until unwatch. fn must not change the
 * registry. */
struct registry_watch;
struct registry_watch *registry_watch(struct registry *reg, const char *service,
	void (*fn)(void *arg, const char *service, uint64_t generation), void *arg);
void registry_unwatch(struct registry_watch *watch);
