/*
 * alias.c: checks that are as well as another instance, or node, is. They are followed at every commit, before
 * it is made: whoever sees the other one's health at a generation sees that of its aliases too.
 */
#include <stdio.h>

#include "registry/table/table.h"

/* The backend that the alias names; NULL: there is none. */
static struct backend *target_of(struct registry *reg, const struct reg_check *spec)
{
	const char *node = spec->alias_node ? spec->alias_node : "";
	const char *name = source_locate(reg, node, spec->alias);
	struct service *service = name ? service_find(reg, name) : NULL;
	char id[REG_ID_MAX + 1];

	if (!service)
		return NULL;
	snprintf(id, sizeof(id), "%s%s%s", node, node[0] ? "/" : "", spec->alias);
	return backend_find(service, id);
}

static enum reg_health look_at_node(const struct node *node, char *why, size_t size)
{
	const struct check *worst = check_set_worst(&node->checks);

	if (worst && worst->health != REG_PASSING)
		snprintf(why, size, "Aliased check \"%s\" failing: %s", worst->spec->id, check_output(worst));
	else if (node->pub.drained)
		snprintf(why, size, "Aliased node is in maintenance");
	else
		snprintf(why, size, "%s", worst ? "All checks passing." : "No checks found.");
	return node_health(node);
}

static enum reg_health look_at_backend(struct backend *backend, char *why, size_t size)
{
	const struct reg_backend *pub = backend_show(backend);

	if (pub->health == REG_DRAINING)
		snprintf(why, size, "Aliased service is in maintenance");
	else if (pub->health != REG_PASSING)
		snprintf(why, size, "Aliased check failing: %s",
			pub->port_down ? "the port is down" : pub->output);
	else
		snprintf(why, size, "%s", backend->checks.count ? "All checks passing." : "No checks found.");
	return pub->health;
}

/* What the other one is now. */
static enum reg_health look(struct registry *reg, const struct reg_check *spec, char *why, size_t size)
{
	const char *name = spec->alias_node ? spec->alias_node : "";
	const struct node *node = node_find(reg, name);
	struct backend *backend = spec->alias ? target_of(reg, spec) : NULL;
	enum reg_health health = REG_CRITICAL;

	if (backend)
		health = look_at_backend(backend, why, size);
	else if (spec->alias)
		snprintf(why, size, "Service %s could not be found on node %s", spec->alias, name);
	else if (node)
		health = look_at_node(node, why, size);
	else
		snprintf(why, size, "Node %s could not be found", name);
	return health == REG_DRAINING ? REG_CRITICAL : health;
}

/* One round. True when somebody's health is another: those that follow it must look again. */
static bool follow(struct registry *reg, unsigned *count)
{
	char why[REG_OUTPUT_MAX + 1];
	bool changed = false;
	struct check *check;

	*count = 0;
	LIST_FOREACH (check, &reg->checks.aliases, alias_link) {
		++*count;
		if (!check_follow(check, look(reg, check->spec, why, sizeof(why)), why))
			continue;
		check->changed(check->arg, check);
		commit_derive(reg); /* one after the other: two that follow each other come to rest */
		changed = true;
	}
	return changed;
}

void aliases_follow(struct registry *reg)
{
	unsigned count, rounds = 0;

	if (LIST_EMPTY(&reg->checks.aliases) ||
		(TAILQ_EMPTY(&reg->changed) && TAILQ_EMPTY(&reg->gone) && !reg->nodes_changed))
		return;
	while (follow(reg, &count) && rounds++ < count) /* a chain is as long as there are aliases at most */
		;
}
