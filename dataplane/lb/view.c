#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/siphash.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/service.h"

/* A table at most half full; a filter of a sixteenth, in which one foreign address of sixteen gets through.
 */
enum { PLACES_MIN = 8, PLACES_SPARE = 2, FILTER_MIN = 512, FILTER_SPARE = 16, FILTER_MAX = 1 << 24 };

static uint32_t round_up(uint32_t least, uint64_t want)
{
	while (least < want)
		least *= 2;
	return least;
}

uint32_t lb_table_size(uint32_t n)
{
	return round_up(PLACES_MIN, (uint64_t)n * PLACES_SPARE);
}

static int places_open(struct lb_places *p, uint32_t n)
{
	uint32_t size = lb_table_size(n);

	p->mask = size - 1;
	p->place = calloc(size, sizeof(*p->place));
	return p->place ? 0 : -ENOMEM;
}

int lb_filter_open(struct lb_filter *f, uint32_t n)
{
	uint32_t bits = round_up(FILTER_MIN, (uint64_t)n * FILTER_SPARE);

	bits = bits < FILTER_MAX ? bits : FILTER_MAX;
	f->mask = bits - 1;
	f->word = aligned_alloc(64, bits / 8);
	if (!f->word)
		return -ENOMEM;
	for (uint32_t i = 0; i < bits / 64; i++)
		f->word[i] = 0;
	return 0;
}

void lb_filter_add(struct lb_filter *f, uint32_t ip)
{
	uint32_t bit = (uint32_t)((ip * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & f->mask;

	f->word[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static uint32_t service_hash(const struct lb_view *view, uint32_t vip, uint16_t port, uint8_t protocol)
{
	return (uint32_t)siphash13(view->key, vip, (uint64_t)protocol << 16 | port);
}

static uint32_t backend_hash(const struct lb_view *view, uint32_t ip, uint16_t port)
{
	return (uint32_t)siphash13(view->key, ip, port);
}

static void places_add(struct lb_places *p, uint32_t hash, const struct lb_place *what)
{
	uint32_t i = hash & p->mask;

	while (p->place[i].protocol)
		i = (i + 1) & p->mask;
	p->place[i] = *what;
}

static int vips_open(struct lb_view *view, uint32_t n)
{
	uint32_t size = lb_table_size(n);

	view->vip_mask = size - 1;
	view->vip = calloc(size, sizeof(*view->vip));
	return view->vip ? 0 : -ENOMEM;
}

static void add_service(const struct lb *lb, struct lb_view *view, const struct service *s)
{
	struct lb_vip *vip = lb_vip_at(view, s->vip);
	uint16_t port = s->more ? 0 : s->port;

	view->least |= s->least;
	if (!s->vip) {
		lb_view6_add(lb, view->ip6, s);
		return;
	}
	vip->ip = s->vip;
	vip->rejects |= s->rejects;
	view->ranges |= s->more > 0;
	places_add(&view->services, service_hash(view, s->vip, port, s->protocol),
		&(struct lb_place){.ip = s->vip, .port = port, .protocol = s->protocol, .service = s});
	for (uint32_t k = 0; k < s->nbackends; k++) {
		const struct backend *b = backend_get(lb->backends, s->backend[k]);

		port = s->more ? 0 : b->port;
		places_add(&view->backends, backend_hash(view, b->ip, port),
			&(struct lb_place){b->ip, b->id, port, b->protocol, s});
		lb_filter_add(&view->sources, b->ip);
	}
}

/* How many services and backends a view has, by whether they are of IPv6. */
struct view_size {
	uint32_t services[2], backends[2];
};

static struct lb_view *view_open(const struct lb *lb, const struct view_size *n)
{
	struct lb_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	memcpy(view->key, lb->key, sizeof(view->key));
	if (!lb_filter_open(&view->sources, n->backends[0]) && !vips_open(view, n->services[0]) &&
		!places_open(&view->services, n->services[0]) &&
		!places_open(&view->backends, n->backends[0]) &&
		(!n->services[1] || !lb_view6_open(lb, n->services[1], n->backends[1], &view->ip6)))
		return view;
	lb_view_free(view);
	return NULL;
}

int lb_view_build(const struct lb *lb, uint16_t net, struct lb_view **out)
{
	struct view_size size = {0};
	struct lb_view *view;

	*out = NULL;
	for (uint32_t i = 0; i < lb->service_end; i++) {
		const struct service *s = lb->service[i];

		if (!s || s->net != net)
			continue;
		size.services[!s->vip]++;
		size.backends[!s->vip] += s->nbackends;
	}
	if (!size.services[0] && !size.services[1])
		return 0;
	view = view_open(lb, &size);
	if (!view)
		return -ENOMEM;
	for (uint32_t i = 0; i < lb->service_end; i++) {
		const struct service *s = lb->service[i];

		if (s && s->net == net)
			add_service(lb, view, s);
	}
	*out = view;
	return 0;
}

void lb_view_free(struct lb_view *view)
{
	if (!view)
		return;
	lb_view6_free(view->ip6);
	free(view->vip);
	free(view->sources.word);
	free(view->services.place);
	free(view->backends.place);
	free(view);
}

bool lb_is_vip(const struct lb_view *view, uint32_t vip)
{
	return lb_view_has_vip(view, vip);
}

bool lb_has_vip(const struct lb_view *view, struct ip_addr vip)
{
	return ip_is4(vip) ? lb_is_vip(view, ip_to4(vip)) : lb_is_vip6(view, vip);
}

/* At the place of that port, 0 for those with several: the one that has `port`. */
static const struct service *service_in(
	const struct lb_view *view, uint32_t vip, uint16_t at, uint8_t protocol, uint16_t port)
{
	const struct lb_places *p = &view->services;

	for (uint32_t i = service_hash(view, vip, at, protocol) & p->mask; p->place[i].protocol;
		i = (i + 1) & p->mask) {
		const struct lb_place *place = &p->place[i];

		if (place->ip == vip && place->port == at && place->protocol == protocol &&
			lb_port_offset(place->service, port) <= place->service->more)
			return place->service;
	}
	return NULL;
}

const struct service *lb_view_service(
	const struct lb_view *view, uint32_t vip, uint16_t port, uint8_t protocol)
{
	const struct service *s = service_in(view, vip, port, protocol, port);

	return s || !view->ranges ? s : service_in(view, vip, 0, protocol, port);
}

bool lb_view_rejects(const struct lb_view *view, uint32_t vip)
{
	return lb_vip_at(view, vip)->rejects;
}

const struct lb_place *lb_view_backend(
	const struct lb_view *view, uint32_t ip, uint16_t port, uint8_t protocol, uint32_t *at)
{
	const struct lb_places *p = &view->backends;
	uint32_t start = backend_hash(view, ip, port);

	for (;;) {
		const struct lb_place *place = &p->place[(start + *at) & p->mask];

		if (!place->protocol)
			return NULL;
		(*at)++;
		if (place->ip == ip && place->port == port && place->protocol == protocol)
			return place;
	}
}
