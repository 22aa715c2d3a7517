/*
 * asker.h: a client of a registry on 127.0.0.1, by HTTP with Consul's paths and by DNS over UDP. One question
 * at a time on a socket; the sockets block.
 */
#pragma once

#include <stdint.h>

/** Connected sockets, for the caller to close; or -errno. */
int asker_http(uint16_t port);
int asker_dns(uint16_t port);

/** Sends a request; `path` begins with /v1/, `body` may be empty. 0 or -errno. */
int asker_send(int http, const char *method, const char *path, const char *body);

/**
 * The status of the answer, which is read to its end; *index is that of X-Consul-Index, or left alone. -errno;
 * -EPROTO: it is no HTTP, or more than 16 KiB.
 */
int asker_receive(int http, uint64_t *index);

/** Asks for the addresses of NAME.service.consul. How many came: 0 when there are none; or -errno. */
int asker_resolve(int dns, const char *name);
