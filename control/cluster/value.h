/*
 * value.h: what hosts say of themselves in the store, as JSON. Pure.
 *
 *   HOST/host             {"v": 1, "id": "UUID", "address": "192.0.2.1" | null, "address6"?: "fd00::1", "zone": "a"}
 *   HOST/alive            {"v": 1, "id": "UUID"}
 *   net/NETWORK/HOST/N    {"v": 1, "network": "web", "vni": 100, "ep": [{"mac": "02:..", "ips": ["10.1.0.11"], "seq": 7}]}
 *   HOST/ask/..., ipam/...  which addresses a host may give (block.h)
 *   HOST/node, HOST/in/N  of the registry (registry/source/hosts/hosts.h)
 *
 * A reader refuses a value of a later version, and one that breaks a rule, as a whole; fields that it does not know it
 * passes over.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

enum {
	VALUE_VERSION = 1,
	VALUE_MAX = 65536, /* bytes */
	VALUE_NAME = 64,   /* bytes of a name with its end */
	VALUE_ID = 40,
	VALUE_ENDPOINTS = 100, /* of one chunk */
	VALUE_IPS = 8,
};

struct value_host {
	char id[VALUE_ID], zone[VALUE_NAME];
	struct ip_addr address;	 /* maybe none */
	struct ip_addr address6; /* beside one of IPv4; maybe none */
};

/* A guest. */
struct value_endpoint {
	uint8_t mac[6];
	uint8_t nips;
	struct ip_addr *ips; /* up to VALUE_IPS; of a chunk that was read, behind its guests */
	int64_t seq; /* a revision of the store that its host knew when the guest came: of two hosts that have it, the later */
};

struct value_chunk {
	char network[VALUE_NAME];
	uint32_t vni;
	unsigned n;
	struct value_endpoint ep[];
};

/* 0, or -1 with the reason in *why. */

int value_read_host(const char *text, size_t len, struct value_host *host, const char **why);
int value_read_alive(const char *text, size_t len, char id[VALUE_ID], const char **why);
/** To be freed; NULL with *why. */
struct value_chunk *value_read_chunk(const char *text, size_t len, const char **why);

/** An object of a version that is known, a new reference; NULL with *why. */
json_t *value_read(const char *text, size_t len, const char **why);

/* As text, to be freed; NULL: no memory. */

/** Takes `json` over. */
char *value_text(json_t *json);

char *value_host_text(const struct value_host *host);
char *value_alive_text(const char *id);
char *value_chunk_text(const struct value_chunk *chunk);
