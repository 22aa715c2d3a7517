/*
 * tls.h: TLS for the HTTP server: whose certificate it shows, and whose clients it takes. Control thread.
 */
#pragma once

#include "registry/registry.h"

struct bufferevent;
struct event_base;
struct http_tls;

/* Files in PEM. All NULL: no TLS. */
struct http_tls_files {
	const char *cert; /* the server's, then those of its issuers that clients do not have */
	const char *key;  /* of the first in `cert`, without a password */
	const char
		*client_ca; /* whoever shows no certificate of theirs is sent away; NULL: none is asked for */
};

/**
 * Reads the files, which are read again at http_tls_reload(); the names are copied. *out is NULL without
 * files. -EINVAL with a line in `err` that names the option of the file which is missing or not what it
 * should be; -ENOMEM.
 */
int http_tls_open(const struct http_tls_files *files, struct http_tls **out, struct reg_err *err);
/** NULL is allowed. Connections go on. */
void http_tls_close(struct http_tls *tls);

/** Reads the files anew, for connections to come. When that fails, as http_tls_open(), all stays as it was. */
int http_tls_reload(struct http_tls *tls, struct reg_err *err);

/** Demands certificates of its clients. NULL does not. */
bool http_tls_asks_clients(const struct http_tls *tls);

/** The server's end of a connection to come; it closes its socket when freed. `tls` NULL: without TLS. NULL: no
 * memory. */
struct bufferevent *http_tls_accept(struct http_tls *tls, struct event_base *base);
