#include "registry/check/set.h"

#include <errno.h>
#include <stdlib.h>

#include "registry/base/text.h"
#include "registry/check/spec.h"

static struct check_target aim(const struct check_target *target, const struct reg_check *spec)
{
	return (struct check_target){
		.service = target->service,
		.network = ip_is_loopback(spec->address) ? "" : target->network,
		.address = ip_is_none(spec->address) ? target->address : spec->address,
		.port = spec->port ? spec->port : target->port,
	};
}

/* FNV-1a of the id over the owner's seed: the checks of one backend are spread too. */
static uint64_t seed_of(uint64_t seed, const char *id)
{
	for (const char *c = id ? id : ""; *c; c++)
		seed = (seed ^ (uint8_t)*c) * 0x100000001b3u;
	return seed;
}

/* The one at work that is by this very specification. */
static struct check **same_in(const struct check_set *set, const struct reg_check *spec)
{
	for (unsigned i = 0; i < set->count; i++)
		if (set->item[i] && spec_same(set->item[i]->spec, spec))
			return &set->item[i];
	return NULL;
}

int check_set_prepare(struct check_set *next, const struct check_set *now, struct check_specs specs,
	const struct check_owner *owner, struct checks *all, bool keep)
{
	*next = (struct check_set){0};
	if (specs.count == 0)
		return 0;
	next->item = calloc(specs.count, sizeof(struct check *));
	if (!next->item)
		return -ENOMEM;
	next->count = specs.count;
	for (unsigned i = 0; i < specs.count; i++) {
		const struct reg_check *spec = &specs.item[i];
		struct check_target target = aim(&owner->target, spec);

		if (keep && same_in(now, spec))
			continue;
		next->item[i] = check_new(
			all, spec, &target, seed_of(owner->seed, spec->id), owner->changed, owner->arg);
		if (!next->item[i]) {
			check_set_clear(next);
			return -ENOMEM;
		}
		next->item[i]->said = owner->said;
	}
	return 0;
}

static struct check *find(const struct check_set *set, const char *id)
{
	for (unsigned i = 0; i < set->count; i++)
		if (set->item[i] && text_same(set->item[i]->spec->id, id))
			return set->item[i];
	return NULL;
}

void check_set_inherit(
	struct check_set *set, const struct check_set *old, bool (*of)(const struct check *check))
{
	for (unsigned i = 0; i < set->count; i++) {
		struct check *check = set->item[i];
		const struct check *was = check ? find(old, check->spec->id) : NULL;

		if (was && was->type == check->type && (!of || of(check)))
			check_inherit(check, was);
	}
}

/* Those that are as they were move over, and read their specification where it is now. */
static void reuse(struct check_set *now, struct check_set *next, struct check_specs specs)
{
	for (unsigned i = 0; i < next->count; i++) {
		struct check **same = next->item[i] ? NULL : same_in(now, &specs.item[i]);

		if (!same)
			continue;
		next->item[i] = *same;
		next->item[i]->spec = &specs.item[i];
		*same = NULL;
	}
}

void check_set_swap(
	struct check_set *now, struct check_set *next, struct check_specs specs, int port, bool keep)
{
	struct check_set old = *now;

	if (keep)
		check_set_inherit(next, &old, NULL);
	for (unsigned i = 0; i < next->count; i++)
		if (next->item[i])
			check_start(next->item[i], port);
	reuse(&old, next, specs);
	*now = *next;
	*next = (struct check_set){0};
	check_set_clear(&old);
}

void check_set_clear(struct check_set *set)
{
	for (unsigned i = 0; i < set->count; i++)
		check_free(set->item[i]);
	free(set->item);
	*set = (struct check_set){0};
}

void check_set_link(struct check_set *set, int state)
{
	for (unsigned i = 0; i < set->count; i++)
		check_link(set->item[i], state);
}

const struct check *check_set_worst(const struct check_set *set)
{
	const struct check *worst = NULL;

	for (unsigned i = 0; i < set->count; i++)
		if (!worst || set->item[i]->health > worst->health)
			worst = set->item[i];
	return worst;
}

const struct check *check_set_overdue(const struct check_set *set)
{
	for (unsigned i = 0; i < set->count; i++)
		if (check_overdue(set->item[i]))
			return set->item[i];
	return NULL;
}

bool check_set_result(const struct check_set *set, unsigned i, struct reg_result *result)
{
	if (i >= set->count)
		return false;
	*result = (struct reg_result){
		.check = set->item[i]->spec,
		.health = set->item[i]->health,
		.found = set->item[i]->found,
		.output = check_output(set->item[i]),
	};
	return true;
}

static struct check *first_ttl(const struct check_set *set)
{
	for (unsigned i = 0; i < set->count; i++)
		if (set->item[i]->spec->type == REG_CHECK_TTL)
			return set->item[i];
	return NULL;
}

int check_set_beat(struct check_set *set, const char *id, enum reg_health health, const char *output)
{
	struct check *check = id ? find(set, id) : first_ttl(set);

	if (!check)
		return id ? -ENOENT : -ENOTSUP;
	if (check->spec->type != REG_CHECK_TTL)
		return -ENOTSUP;
	check_beat(check, health, output);
	return 0;
}
