/*
 * asker.h: a client of a registry on 127.0.0.1, by HTTP with Consul's paths and by DNS over UDP. One question
 * at a time on a socket; the sockets block.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { ASKER_QUESTION = 128 }; /* bytes of a DNS question at most */

/** Connected sockets, for the caller to close; or -errno. */
int asker_http(uint16_t port);
int asker_dns(uint16_t port);

/** Sends a request; `path` begins with /v1/, `body` may be empty. 0 or -errno. */
int asker_send(int http, const char *method, const char *path, const char *body);

/**
 * The status of the answer, which is read to its end; *index is that of X-Consul-Index, or left alone. -errno;
 * -EPROTO: it is no HTTP, or more than 32 KiB.
 */
int asker_receive(int http, uint64_t *index);

/** Reads an answer to its end, as text of less than `size` bytes; returns as asker_receive(). */
int asker_read(int http, char *text, size_t size);

/** Writes a DNS question for the addresses of NAME.service.consul; returns its bytes. */
size_t asker_question(uint8_t question[ASKER_QUESTION], uint16_t id, const char *name);

/** Asks for the addresses of NAME.service.consul. How many came: 0 when there are none; or -errno. */
int asker_resolve(int dns, const char *name);
