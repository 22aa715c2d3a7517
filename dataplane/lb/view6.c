/*
 * view6.c: the services of IPv6 that workers see (view.c). Vips and backends are found by a hash under the view's
 * secret: of sixteen bytes a tenant can choose as many addresses as it likes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/siphash.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/service.h"

static uint32_t hash_of(const struct lb_view6 *view, struct ip_addr ip, uint16_t port, uint8_t protocol)
{
	const uint64_t message[] = {ip.q[0], ip.q[1], (uint64_t)protocol << 16 | port};

	return (uint32_t)siphash13_words(view->key, message, 3);
}

static int places_open(struct lb_places6 *p, uint32_t n)
{
	uint32_t size = lb_table_size(n);

	p->mask = size - 1;
	p->place = calloc(size, sizeof(*p->place));
	return p->place ? 0 : -ENOMEM;
}

int lb_view6_open(const struct lb *lb, uint32_t nservices, uint32_t nbackends, struct lb_view6 **out)
{
	struct lb_view6 *view = calloc(1, sizeof(*view));

	*out = view;
	if (!view)
		return -ENOMEM;
	memcpy(view->key, lb->key, sizeof(view->key));
	view->vip_mask = lb_table_size(nservices) - 1;
	view->vip = calloc(view->vip_mask + (size_t)1, sizeof(*view->vip));
	if (view->vip && !lb_filter_open(&view->vips, nservices) &&
		!lb_filter_open(&view->sources, nbackends) && !places_open(&view->services, nservices) &&
		!places_open(&view->backends, nbackends))
		return 0;
	lb_view6_free(view);
	*out = NULL;
	return -ENOMEM;
}

void lb_view6_free(struct lb_view6 *view)
{
	if (!view)
		return;
	free(view->vip);
	free(view->vips.word);
	free(view->sources.word);
	free(view->services.place);
	free(view->backends.place);
	free(view);
}

/* The entry of the vip, or the empty one where it belongs. */
static struct lb_vip6 *vip_at(const struct lb_view6 *view, struct ip_addr ip)
{
	uint32_t i = hash_of(view, ip, 0, 0) & view->vip_mask;

	while (!ip_is_none(view->vip[i].ip) && !ip_equal(view->vip[i].ip, ip))
		i = (i + 1) & view->vip_mask;
	return &view->vip[i];
}

static void places_add(const struct lb_view6 *view, struct lb_places6 *p, const struct lb_place6 *what)
{
	uint32_t i = hash_of(view, what->ip, what->port, what->protocol) & p->mask;

	while (p->place[i].protocol)
		i = (i + 1) & p->mask;
	p->place[i] = *what;
}

void lb_view6_add(const struct lb *lb, struct lb_view6 *view, const struct service *s)
{
	struct lb_vip6 *vip = vip_at(view, s->address);
	uint16_t port = s->more ? 0 : s->port;

	vip->ip = s->address;
	vip->rejects |= s->rejects;
	view->ranges |= s->more > 0;
	places_add(view, &view->services,
		&(struct lb_place6){.ip = s->address, .port = port, .protocol = s->protocol, .service = s});
	lb_filter_add(&view->vips, lb_fold6(s->address));
	for (uint32_t k = 0; k < s->nbackends; k++) {
		const struct backend *b = backend_get(lb->backends, s->backend[k]);

		port = s->more ? 0 : b->port;
		places_add(
			view, &view->backends, &(struct lb_place6){b->address, b->id, port, b->protocol, s});
		lb_filter_add(&view->sources, lb_fold6(b->address));
	}
}

bool lb_is_vip6(const struct lb_view *view, struct ip_addr vip)
{
	return view->ip6 && lb_filter_has(&view->ip6->vips, lb_fold6(vip)) &&
	       !ip_is_none(vip_at(view->ip6, vip)->ip);
}

bool lb_view6_rejects(const struct lb_view6 *view, struct ip_addr vip)
{
	return vip_at(view, vip)->rejects;
}

/* As in view.c. */
static const struct service *service_in(
	const struct lb_view6 *view, struct ip_addr vip, uint16_t at, uint8_t protocol, uint16_t port)
{
	const struct lb_places6 *p = &view->services;

	for (uint32_t i = hash_of(view, vip, at, protocol) & p->mask; p->place[i].protocol;
		i = (i + 1) & p->mask) {
		const struct lb_place6 *place = &p->place[i];

		if (place->port == at && place->protocol == protocol && ip_equal(place->ip, vip) &&
			lb_port_offset(place->service, port) <= place->service->more)
			return place->service;
	}
	return NULL;
}

const struct service *lb_view6_service(
	const struct lb_view6 *view, struct ip_addr vip, uint16_t port, uint8_t protocol)
{
	const struct service *s = service_in(view, vip, port, protocol, port);

	return s || !view->ranges ? s : service_in(view, vip, 0, protocol, port);
}

const struct lb_place6 *lb_view6_backend(
	const struct lb_view6 *view, struct ip_addr ip, uint16_t port, uint8_t protocol, uint32_t *at)
{
	const struct lb_places6 *p = &view->backends;
	uint32_t start = hash_of(view, ip, port, protocol);

	for (;;) {
		const struct lb_place6 *place = &p->place[(start + *at) & p->mask];

		if (!place->protocol)
			return NULL;
		(*at)++;
		if (place->port == port && place->protocol == protocol && ip_equal(place->ip, ip))
			return place;
	}
}
