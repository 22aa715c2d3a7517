/*
 * node_check.c: the checks of a node, which hold for all that runs on it, and its maintenance.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/table/table.h"

enum reg_health node_health(const struct node *node)
{
	const struct check *worst = check_set_worst(&node->checks);

	if (node->pub.drained)
		return REG_DRAINING;
	return worst ? worst->health : REG_PASSING;
}

const char *node_word(const struct node *node, enum reg_health health)
{
	const struct check *worst = check_set_worst(&node->checks);

	if (node->pub.drained)
		return node->word;
	return worst && worst->health > health ? check_output(worst) : NULL;
}

static void spread_to(struct backend *backend)
{
	backend->by_node = true;
	commit_rechecked(backend);
}

/* All that runs there may be better or worse now. */
static void spread(struct node *node)
{
	node_touch(node->reg, node);
	node_backends(node->reg, node, spread_to);
}

static void on_check(void *arg, const struct check *check)
{
	struct node *node = arg;

	if (node->pub.local)
		source_ttl(node->reg, NULL, check);
	spread(node);
	commit_soon(node->reg);
}

static void on_said(void *arg)
{
	struct node *node = arg;

	node->reg->nodes_revision = ++node->reg->revision;
}

static int no_node(struct reg_err *err, const char *name)
{
	return reg_fail(err, -ENOENT, "node: there is no node %s", name);
}

static int checks_valid(const struct reg_check *checks, uint16_t n, struct reg_err *err)
{
	int rc = specs_valid(checks, n, err);

	for (unsigned i = 0; rc == 0 && i < n; i++) {
		bool probes = checks[i].type == REG_CHECK_TCP || checks[i].type == REG_CHECK_HTTP ||
			      checks[i].type == REG_CHECK_GRPC;

		if (!checks[i].id || !checks[i].id[0])
			rc = reg_fail(err, -EINVAL, "checks: one has no id");
		else if (probes && (ip_is_none(checks[i].address) || !checks[i].port))
			rc = reg_fail(err, -EINVAL, "check %s: says not what address and port to probe",
				checks[i].id);
	}
	return rc;
}

int registry_node_checks(struct registry *reg, const char *name, const struct reg_check *checks, uint16_t n,
	struct reg_err *err)
{
	struct node *node = node_find(reg, name);
	struct check_owner owner = {
		.target = {.network = ""}, .changed = on_check, .said = on_said, .arg = node};
	struct check_set next;
	struct check_specs specs;
	struct reg_check *own;
	int rc = checks_valid(checks, n, err);

	if (!node)
		return no_node(err, name);
	if (rc < 0)
		return rc;
	if (specs_same(node->specs, node->checks.count, checks, n))
		return 0;
	if (specs_copy(checks, n, &own) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	specs = (struct check_specs){own, n};
	if (check_set_prepare(&next, &node->checks, specs, &owner, &reg->checks, true) < 0) {
		free(own);
		return reg_fail(err, -ENOMEM, "out of memory");
	}
	check_set_swap(&node->checks, &next, specs, -1, true);
	free(node->specs);
	node->specs = own;
	spread(node);
	commit(reg);
	return 0;
}

int registry_node_beat(struct registry *reg, const char *name, const char *check, enum reg_health health,
	const char *output, struct reg_err *err)
{
	struct node *node = node_find(reg, name);
	int rc;

	if (!node)
		return no_node(err, name);
	rc = check_set_beat(&node->checks, check, health, output);
	if (rc == -ENOENT)
		return reg_fail(err, rc, "check: the node has no check %s", check);
	if (rc < 0)
		return reg_fail(err, rc, "check: that of the node is no ttl check");
	commit(reg);
	return 0;
}

int registry_node_drain(
	struct registry *reg, const char *name, bool drained, const char *reason, struct reg_err *err)
{
	struct node *node = node_find(reg, name);
	bool said = drained && reason && reason[0];
	char *copy, line[384];

	if (!node)
		return no_node(err, name);
	copy = said ? strdup(reason) : NULL;
	if (said && !copy)
		return reg_fail(err, -ENOMEM, "out of memory");
	free((char *)node->pub.reason);
	node->pub.reason = copy;
	if (node->pub.drained != drained) {
		snprintf(line, sizeof(line), "node %s: maintenance %s%s%.200s", node->pub.name,
			drained ? "begins" : "ends", copy ? ": " : "", copy ? copy : "");
		reg->sink.log(reg->sink.ctx, LOG_NOTICE, node->pub.name, line);
	}
	node->pub.drained = drained;
	snprintf(node->word, sizeof(node->word), "its node is in maintenance%s%s", copy ? ": " : "",
		copy ? copy : "");
	spread(node);
	commit(reg);
	return 0;
}

bool registry_node_result(const struct reg_node *node, unsigned i, struct reg_result *result)
{
	return check_set_result(&((const struct node *)node)->checks, i, result);
}

void node_checks_free(struct node *node)
{
	check_set_clear(&node->checks);
	free(node->specs);
}
