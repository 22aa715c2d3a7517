/*
 * conf.h: the network configuration that a runtime hands to a CNI plugin (CNI 1.1.0, "Network configuration format",
 * and conventions for capabilities).
 *
 * Beyond CNI's own keys:
 *   network    the daemon's network (default: the configuration's name)
 *   socket     the daemon's control socket (/run/sluice/control.sock)
 *   port       what each port is to have: fields of port.add. "type": "vhost-user" makes a socket and no interface
 *   directory  of such sockets: DIRECTORY/POD or CONTAINER/IFNAME.sock (default: where the daemon has its own)
 */
#pragma once

#include <jansson.h>

#include "tools/cni/attach.h"
#include "tools/cni/env.h"
#include "tools/cni/error.h"

#define CONF_SOCKET "/run/sluice/control.sock"

/* Versions in their order; each has what those before it have. */
enum conf_version { CONF_0_3_1, CONF_0_4_0, CONF_1_0_0, CONF_1_1_0, CONF_VERSIONS };
extern const char *const conf_versions[CONF_VERSIONS];

struct conf {
	json_t *json;
	enum conf_version version;
	const char *name, *network, *socket, *directory;
	const json_t *port, *runtime, *dns, *previous; /* NULL: not given */
};

/** Takes over `json`. 0 or -1 with *err; conf_close() in both cases. */
int conf_read(struct conf *conf, json_t *json, struct cni_err *err);
void conf_close(struct conf *conf);

/** What ADD is to make. `attachment` borrows from both; conf_attachment_close() in any case. 0 or -1 with *err. */
int conf_attachment(const struct conf *conf, const struct cni_env *env, struct attachment *attachment,
	struct cni_err *err);
void conf_attachment_close(struct attachment *attachment);

/** The result's "dns". A new reference. */
json_t *conf_dns(const struct conf *conf);
