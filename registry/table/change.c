/*
 * change.c: what changed last, and why. Of each commit the last REG_CHANGES things that were noted are kept in a ring, so
 * that those who follow the registry are told the reason, and who comes back goes on where it was. What is noted belongs
 * to the commit that follows.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/base/text.h"
#include "registry/base/utf8.h"
#include "registry/table/table.h"

enum { OUTPUT_MAX = 256 };

struct change {
	struct reg_change pub; /* first */
	char *json;	       /* NULL: nobody has asked for it */
	char texts[];
};

struct changes {
	struct change *ring[REG_CHANGES];
	uint64_t noted, committed; /* since the start; ring[noted % REG_CHANGES] is the next */
	uint64_t floor;		   /* what came behind this generation is all there */
};

const char *reg_why_name(enum reg_why why)
{
	static const char *const names[] = {"", "registered", "deregistered", "changed", "moved", "check",
		"port", "maintenance", "node", "service", "deleted"};

	return names[why];
}

int change_init(struct registry *reg)
{
	reg->changes = calloc(1, sizeof(*reg->changes));
	return reg->changes ? 0 : -ENOMEM;
}

static void change_free(struct change *change)
{
	if (change)
		free(change->json);
	free(change);
}

void change_close(struct registry *reg)
{
	for (unsigned i = 0; reg->changes && i < REG_CHANGES; i++)
		change_free(reg->changes->ring[i]);
	free(reg->changes);
	reg->changes = NULL;
}

/* The first line of what the check says. */
static void output_of(const struct backend *backend, const char *check, char text[OUTPUT_MAX + 1])
{
	struct reg_result result;

	text[0] = '\0';
	for (unsigned i = 0; check && registry_backend_result(&backend->pub, i, &result); i++)
		if (text_same(result.check->id, check[0] ? check : NULL)) {
			utf8_copy(text, result.output, utf8_fits(result.output, OUTPUT_MAX));
			text[strcspn(text, "\r\n")] = '\0';
			return;
		}
}

/* In its place in the ring. Without memory there is a gap, which who follows is told of. */
static void keep(struct registry *reg, struct change *change)
{
	struct changes *changes = reg->changes;
	struct change **slot = &changes->ring[changes->noted++ % REG_CHANGES];
	uint64_t lost = *slot ? (*slot)->pub.generation ? (*slot)->pub.generation : reg->generation + 1 : 0;

	change_free(*slot);
	*slot = change;
	if (!change)
		lost = reg->generation + 1;
	if (lost > changes->floor)
		changes->floor = lost;
}

void change_note(struct registry *reg, enum reg_why why, const struct service *service,
	const struct backend *backend, enum reg_health before, const char *check)
{
	const char *node = backend ? reg_backend_node(&backend->pub) : "",
		   *id = backend ? reg_backend_own_id(&backend->pub) : "";
	const struct node *at = backend ? node_find(reg, node) : NULL;
	const char *host = at ? at->pub.name : node;
	struct change *change;
	char output[OUTPUT_MAX + 1] = "", *text;

	if (backend)
		output_of(backend, check, output);
	change = malloc(sizeof(*change) + text_size(service->def.name) + text_size(id) + text_size(host) +
			text_size(check) + text_size(output));
	keep(reg, change);
	if (!change)
		return;
	*change = (struct change){.pub = {.why = why, .before = before}};
	text = change->texts;
	change->pub.service = text_put(&text, service->def.name);
	change->pub.instance = text_put(&text, id);
	change->pub.node = text_put(&text, host);
	change->pub.check = text_put(&text, check);
	change->pub.output = text_put(&text, output);
	if (!backend)
		return;
	change->pub.address = backend->pub.address;
	change->pub.port = backend->pub.port;
	change->pub.health = backend->pub.health;
}

/* The n-th since the start; NULL: it is not there. */
static struct change *at(const struct changes *changes, uint64_t n)
{
	return n < changes->committed && n + REG_CHANGES >= changes->noted ? changes->ring[n % REG_CHANGES]
									   : NULL;
}

static uint64_t first(const struct changes *changes)
{
	return changes->noted > REG_CHANGES ? changes->noted - REG_CHANGES : 0;
}

void change_stamp(struct registry *reg)
{
	struct changes *changes = reg->changes;
	uint64_t n = changes->committed > first(changes) ? changes->committed : first(changes);

	for (; n < changes->noted; n++)
		if (changes->ring[n % REG_CHANGES])
			changes->ring[n % REG_CHANGES]->pub.generation = reg->generation;
	changes->committed = changes->noted;
}

void change_begin(struct registry *reg)
{
	reg->changes->floor = reg->generation;
}

/* The first that is behind the generation; generations rise with n, but for gaps. */
static uint64_t behind(const struct changes *changes, uint64_t generation)
{
	uint64_t n = changes->committed;

	while (n > first(changes) && (!at(changes, n - 1) || at(changes, n - 1)->pub.generation > generation))
		n--;
	return n;
}

bool registry_changes_behind(struct registry *reg, uint64_t after, uint64_t *n)
{
	const struct changes *changes = reg->changes;

	if (after < changes->floor || after > reg->generation)
		return false;
	*n = behind(changes, after);
	return true;
}

const struct reg_change *registry_change(struct registry *reg, uint64_t n, bool *lost)
{
	const struct changes *changes = reg->changes;
	const struct change *change = at(changes, n);

	*lost = !change && n < changes->committed;
	return change ? &change->pub : NULL;
}

const struct reg_change *registry_change_last(struct registry *reg, const char *service, uint64_t after)
{
	enum { BACK = 64 }; /* answers are many */
	const struct changes *changes = reg->changes;
	const struct change *change;

	for (uint64_t n = changes->committed, i = 0; n > first(changes) && i < BACK; i++) {
		change = at(changes, --n);
		if (!change || change->pub.generation <= after)
			return NULL;
		if (!service || strcmp(change->pub.service, service) == 0)
			return &change->pub;
	}
	return NULL;
}

static json_t *to_json(const struct reg_change *change)
{
	char address[IP_TEXT];
	json_t *object = json_pack("{s:I, s:s, s:s}", "generation", (json_int_t)change->generation, "why",
		reg_why_name(change->why), "service", change->service);

	if (change->instance[0])
		json_object_update_new(
			object, json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "instance", change->instance,
					"node", change->node, "address",
					ip_is_none(change->address) ? "" : ip_text(change->address, address),
					"port", change->port, "before", reg_health_name(change->before),
					"health", reg_health_name(change->health)));
	if (change->check)
		json_object_update_new(
			object, json_pack("{s:s, s:s}", "check", change->check, "output", change->output));
	return object;
}

const char *reg_change_json(const struct reg_change *pub)
{
	struct change *change = (struct change *)pub;
	json_t *object = change->json ? NULL : to_json(pub);

	if (object)
		change->json = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return change->json;
}
