/*
 * port.c: the switch ports behind backends. A backend whose address is a port's lives and dies with the
 * port's link; the switch tells the moment that it changes, and the workers run on the new table before the
 * call returns.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/table/table.h"

static struct host *host_find(struct registry *reg, struct ip_addr address)
{
	struct host *host;

	HASH_FIND(hh, reg->hosts, &address, sizeof(address), host);
	return host;
}

static struct host *host_get(struct registry *reg, struct ip_addr address)
{
	struct host *host = host_find(reg, address);

	if (host)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	host->address = address;
	LIST_INIT(&host->backends);
	HASH_ADD(hh, reg->hosts, address, sizeof(address), host);
	if (!host->hh.tbl) {
		free(host);
		return NULL;
	}
	return host;
}

void port_refresh(struct backend *backend)
{
	const struct registry_sink *sink = &backend->service->reg->sink;
	int state = -1;

	if (!ip_is_none(backend->pub.address))
		state = sink->port_state(sink->ctx, backend->service->def.network, backend->pub.address);
	backend->port = (int8_t)(state > 0 ? 1 : state);
}

int port_attach(struct backend *backend)
{
	struct host *host = host_get(backend->service->reg, backend->pub.address);

	if (!host)
		return -ENOMEM;
	backend->host = host;
	LIST_INSERT_HEAD(&host->backends, backend, same_host);
	port_refresh(backend);
	return 0;
}

void port_detach(struct backend *backend)
{
	struct host *host = backend->host;

	if (!host)
		return;
	LIST_REMOVE(backend, same_host);
	if (!LIST_EMPTY(&host->backends))
		return;
	HASH_DEL(backend->service->reg->hosts, host);
	free(host);
}

static void follow(struct backend *backend, int state)
{
	if (state < 0 && backend->port < 0)
		return;
	if (state < 0) /* it had a port, and that is gone with whatever was behind it */
		state = 0;
	if (backend->port == state)
		return;
	if (backend->port < 0 && backend->service->def.near)
		backend->rechecked = true; /* it is on this host now, which nothing else of it tells */
	backend->port = (int8_t)state;
	check_set_link(&backend->checks, state);
	commit_backend(backend);
}

/* A service without a network follows whatever ports have the address, of which this one is one. */
static int state_of(const struct backend *backend, struct ip_addr address, int state)
{
	const struct registry_sink *sink = &backend->service->reg->sink;
	int any = backend->service->def.network[0] ? state : sink->port_state(sink->ctx, "", address);

	return any > 0 ? 1 : any < 0 ? -1 : 0;
}

void registry_port_changed(struct registry *reg, const char *network, struct ip_addr address, int state)
{
	struct host *host = ip_is_none(address) ? NULL : host_find(reg, address);
	struct backend *backend;

	reg->checks.ports++;
	if (!host)
		return;
	LIST_FOREACH (backend, &host->backends, same_host) {
		const char *at = backend->service->def.network;

		if (!at[0] || strcmp(at, network) == 0)
			follow(backend, state_of(backend, address, state));
	}
	commit(reg);
}
