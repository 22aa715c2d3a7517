/*
 * table.c: the Services, each with the slices that name it; either may be heard of first. What is listed anew leaves
 * what it did not name behind.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/source/kubernetes/inside.h"

enum { ROUND_SERVICES, ROUND_SLICES };

void kube_changed(struct kubernetes *k, struct kube_service *service)
{
	if (!service->changed)
		TAILQ_INSERT_TAIL(&k->changed, service, link);
	service->changed = true;
	event_active(k->turn, 0, 0);
}

/*
 * Of `kind` there is no more room. Said of the first. What is left out comes with its next change or when all is listed
 * again, if there is room by then.
 */
static void leave_out(struct kubernetes *k, unsigned which, const char *key, unsigned kind)
{
	char line[KUBE_SLICE_KEY + 128];

	if (!kube_left_add(&k->left_out[which], key))
		return;
	snprintf(line, sizeof(line), "kubernetes: %s is left out, and maybe others: there is room for %d %s",
		key, kind == ROUND_SERVICES ? KUBE_SERVICES : KUBE_SLICES,
		kind == ROUND_SERVICES ? "Services" : "slices");
	registry_log(k->reg, LOG_WARNING, "kubernetes", line);
}

static struct kube_service *make(struct kubernetes *k, const char *key)
{
	struct kube_service *service =
		HASH_COUNT(k->services) < KUBE_SERVICES ? calloc(1, sizeof(*service)) : NULL;

	if (!service)
		return NULL;
	strcpy(service->key, key);
	TAILQ_INIT(&service->slices);
	HASH_ADD_STR(k->services, key, service);
	if (service->hh.tbl)
		return service;
	free(service);
	return NULL;
}

static struct kube_service *find_or_make(struct kubernetes *k, const char *key)
{
	struct kube_service *service;

	HASH_FIND_STR(k->services, key, service);
	return service ? service : make(k, key);
}

static void free_ports(struct kube_port *ports, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(ports[i].targets.list);
	free(ports);
}

void kube_service_settle(struct kubernetes *k, struct kube_service *service)
{
	if (service->known || service->changed || service->nold || !TAILQ_EMPTY(&service->slices))
		return;
	HASH_DEL(k->services, service);
	free_ports(service->spec.ports, service->spec.nport);
	kube_outside_free(&service->spec.outside);
	free(service->old);
	free(service);
}

bool kube_is_same_port(const struct kube_port_id *a, const struct kube_port_id *b)
{
	return a->protocol == b->protocol && strcmp(a->name, b->name) == 0;
}

/* A port that goes on keeps what it has; the registry still has those that do not, until its turn. */
static bool take_spec(struct kube_service *service, struct kube_spec *fresh)
{
	struct kube_spec *spec = &service->spec;
	struct kube_port *old = realloc(service->old, (service->nold + spec->nport + 1) * sizeof(*old));

	if (!old)
		return false;
	service->old = old;
	for (unsigned i = 0; i < spec->nport; i++) {
		struct kube_port *was = &spec->ports[i];
		unsigned j = 0;

		while (j < fresh->nport && (was->outer != fresh->ports[j].outer ||
						   !kube_is_same_port(&was->id, &fresh->ports[j].id)))
			j++;
		if (j < fresh->nport) {
			fresh->ports[j].made = was->made;
			fresh->ports[j].as = was->as;
			fresh->ports[j].targets = was->targets;
		} else {
			old[service->nold++] = *was;
		}
	}
	free(spec->ports);
	kube_outside_free(&spec->outside);
	*spec = *fresh;
	return true;
}

static void on_service(struct kubernetes *k, const json_t *object)
{
	struct kube_service *service;
	struct kube_spec spec;
	char key[KUBE_KEY];

	if (!kube_read_key(object, key, sizeof(key)))
		return;
	service = find_or_make(k, key);
	if (!service)
		leave_out(k, ROUND_SERVICES, key, ROUND_SERVICES);
	if (!service || !kube_read_service(object, &spec))
		return;
	kube_left_del(&k->left_out[ROUND_SERVICES], key);
	service->round = k->rounds[ROUND_SERVICES];
	service->known = true;
	if (!take_spec(service, &spec)) {
		kube_spec_free(&spec);
		return;
	}
	kube_keep(k, KUBE_SERVICES_OF, key, object);
	kube_changed(k, service);
}

static void service_gone(struct kubernetes *k, struct kube_service *service)
{
	struct kube_spec none = {0};

	service->known = false;
	kube_keep(k, KUBE_SERVICES_OF, service->key, NULL);
	take_spec(service, &none);
	kube_changed(k, service);
}

static void on_service_gone(struct kubernetes *k, const json_t *object)
{
	struct kube_service *service = NULL;
	char key[KUBE_KEY];

	if (!kube_read_key(object, key, sizeof(key)))
		return;
	kube_left_del(&k->left_out[ROUND_SERVICES], key);
	HASH_FIND_STR(k->services, key, service);
	if (service && service->known)
		service_gone(k, service);
}

static void slice_free(struct kubernetes *k, struct kube_slice *slice)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the table no more */
	HASH_DEL(k->slices, slice);
	TAILQ_REMOVE(&slice->service->slices, slice, link);
	k->endpoints -= slice->n;
	free(slice->ports);
	free(slice->endpoints);
	free(slice);
}

static void slice_gone(struct kubernetes *k, struct kube_slice *slice)
{
	kube_changed(k, slice->service);
	kube_keep(k, KUBE_SLICES_OF, slice->key, NULL);
	slice_free(k, slice);
}

static struct kube_slice *slice_find(struct kubernetes *k, const json_t *object, char key[KUBE_SLICE_KEY])
{
	struct kube_slice *slice = NULL;

	if (kube_read_key(object, key, KUBE_SLICE_KEY))
		HASH_FIND_STR(k->slices, key, slice);
	else
		key[0] = '\0';
	return slice;
}

static struct kube_slice *slice_make(struct kubernetes *k, const char *key, struct kube_service *service)
{
	struct kube_slice *slice = HASH_COUNT(k->slices) < KUBE_SLICES ? calloc(1, sizeof(*slice)) : NULL;

	if (!slice)
		return NULL;
	strcpy(slice->key, key);
	HASH_ADD_STR(k->slices, key, slice);
	if (!slice->hh.tbl) {
		free(slice);
		return NULL;
	}
	slice->service = service;
	TAILQ_INSERT_TAIL(&service->slices, slice, link);
	return slice;
}

static bool is_same(const struct kube_slice *a, const struct kube_slice *b)
{
	if (a->n != b->n || a->nport != b->nport)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (!ip_equal(a->endpoints[i].address, b->endpoints[i].address) ||
			a->endpoints[i].flags != b->endpoints[i].flags)
			return false;
	for (unsigned i = 0; i < a->nport; i++)
		if (strcmp(a->ports[i].name, b->ports[i].name) != 0 || a->ports[i].port != b->ports[i].port ||
			a->ports[i].protocol != b->ports[i].protocol)
			return false;
	return true;
}

/* Does it say something else than before? */
static bool slice_take(struct kubernetes *k, struct kube_slice *slice, struct kube_slice *fresh)
{
	bool same = slice->ports && is_same(slice, fresh);

	slice->round = k->rounds[ROUND_SLICES];
	k->endpoints += fresh->n - slice->n;
	free(slice->ports);
	free(slice->endpoints);
	slice->ports = fresh->ports;
	slice->endpoints = fresh->endpoints;
	slice->nport = fresh->nport;
	slice->n = fresh->n;
	if (!same)
		kube_changed(k, slice->service);
	return !same;
}

/* One that is not understood any longer is gone; one that names another Service is another. */
static void on_slice(struct kubernetes *k, const json_t *object)
{
	char key[KUBE_SLICE_KEY], name[KUBE_KEY];
	struct kube_slice *slice = slice_find(k, object, key), fresh;
	struct kube_service *service;

	if (!key[0])
		return;
	if (!kube_read_slice(k, object, name, &fresh)) {
		kube_left_del(&k->left_out[ROUND_SLICES], key);
		if (slice)
			slice_gone(k, slice);
		return;
	}
	if (slice && strcmp(slice->service->key, name) != 0) {
		slice_gone(k, slice);
		slice = NULL;
	}
	service = slice ? slice->service : find_or_make(k, name);
	if (!slice && service)
		slice = slice_make(k, key, service);
	if (!slice)
		leave_out(k, ROUND_SLICES, key, service ? ROUND_SLICES : ROUND_SERVICES);
	if (slice) {
		kube_left_del(&k->left_out[ROUND_SLICES], key);
		if (slice_take(k, slice, &fresh))
			kube_keep(k, KUBE_SLICES_OF, key, object);
		return;
	}
	free(fresh.ports);
	free(fresh.endpoints);
	if (service)
		kube_service_settle(k, service);
}

static void on_slice_gone(struct kubernetes *k, const json_t *object)
{
	char key[KUBE_SLICE_KEY];
	struct kube_slice *slice = slice_find(k, object, key);

	kube_left_del(&k->left_out[ROUND_SLICES], key);
	if (slice)
		slice_gone(k, slice);
}

static void begin_services(struct kubernetes *k)
{
	k->rounds[ROUND_SERVICES]++;
	kube_left_clear(&k->left_out[ROUND_SERVICES]);
}

static void begin_slices(struct kubernetes *k)
{
	k->rounds[ROUND_SLICES]++;
	kube_left_clear(&k->left_out[ROUND_SLICES]);
}

static void end_services(struct kubernetes *k)
{
	struct kube_service *service, *next;

	HASH_ITER(hh, k->services, service, next)
	if (service->known && service->round != k->rounds[ROUND_SERVICES])
		service_gone(k, service);
	event_active(k->turn, 0, 0);
}

static void end_slices(struct kubernetes *k)
{
	struct kube_slice *slice, *next;

	HASH_ITER(hh, k->slices, slice, next)
	if (slice->round != k->rounds[ROUND_SLICES])
		slice_gone(k, slice);
	event_active(k->turn, 0, 0);
}

/* Another proxy's Services are labelled; headless ones have no address, and are labelled when nobody is to follow them. */
#define SELECTOR                                                                                             \
	"labelSelector=%21service.kubernetes.io%2Fservice-proxy-name%2C%21service.kubernetes.io%2Fheadless"

const struct kube_kind kube_kind_services = {
	"/api/v1/services", SELECTOR, false, begin_services, on_service, on_service_gone, end_services};
const struct kube_kind kube_kind_slices = {"/apis/discovery.k8s.io/v1/endpointslices", SELECTOR, false,
	begin_slices, on_slice, on_slice_gone, end_slices};

void kube_table_free(struct kubernetes *k)
{
	struct kube_service *service, *next_service;
	struct kube_slice *slice, *next;

	HASH_ITER(hh, k->slices, slice, next)
	slice_free(k, slice);
	HASH_ITER(hh, k->services, service, next_service)
	{
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
		HASH_DEL(k->services, service);
		free_ports(service->spec.ports, service->spec.nport);
		kube_outside_free(&service->spec.outside);
		free_ports(service->old, service->nold);
		free(service);
	}
	for (unsigned i = 0; i < 2; i++)
		kube_left_clear(&k->left_out[i]);
}
