/*
 * spec.c: definitions of checks. Are they well-formed, are they the same; and copies of them, each list
 * in one block of memory with its texts behind it.
 */
#include "registry/check/spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/error.h"
#include "registry/base/text.h"
#include "registry/check/check.h"

enum { NOTES_MAX = 4096 };

/* What has to be probed is probed at least once an hour; a backend may be silent for a week. */
static uint32_t interval_max(enum reg_check_type type)
{
	return type == REG_CHECK_TTL ? 7 * 24 * 3600000 : 3600000;
}

/* What only some types know. */
static int fits(const struct reg_check *check, struct reg_err *err)
{
	bool http = check->type == REG_CHECK_HTTP, grpc = check->type == REG_CHECK_GRPC;

	if (check->path && !http)
		return reg_fail(err, -EINVAL, "check.path: only for http");
	if ((check->method || check->body || check->nheader) && !http)
		return reg_fail(err, -EINVAL, "check.method: only for http");
	if (check->service && !grpc)
		return reg_fail(err, -EINVAL, "check.service: only for grpc");
	if ((check->tls || check->tls_skip_verify) && !http && !grpc)
		return reg_fail(err, -EINVAL, "check.tls: only for http and grpc");
	if ((check->alias || check->alias_node) && check->type != REG_CHECK_ALIAS)
		return reg_fail(err, -EINVAL, "check.alias: only for alias");
	if ((check->definition || check->kind) && check->type != REG_CHECK_TTL)
		return reg_fail(err, -EINVAL, "check.definition: only for ttl");
	return 0;
}

static int text_fits(const char *field, const char *text, size_t max, struct reg_err *err)
{
	size_t len = text ? strlen(text) : 0;

	if (len > max)
		return reg_fail(err, -EINVAL, "%s: longer than %zu bytes", field, max);
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)text[i]) && !strchr("\t\n\r", text[i]))
			return reg_fail(err, -EINVAL, "%s: not printable", field);
	return 0;
}

/* The members that are texts; what the types judge for themselves has no field here. */
static const struct {
	size_t at;
	const char *field;
	size_t max;
} texts[] = {
	{offsetof(struct reg_check, id), "check.id", REG_CHECK_ID_MAX},
	{offsetof(struct reg_check, name), "check.name", REG_CHECK_ID_MAX},
	{offsetof(struct reg_check, notes), "check.notes", NOTES_MAX},
	{offsetof(struct reg_check, alias), "check.alias", REG_ID_MAX},
	{offsetof(struct reg_check, alias_node), "check.alias_node", REG_NODE_MAX},
	{offsetof(struct reg_check, definition), "check.definition", REG_DEFINITION_MAX},
	{offsetof(struct reg_check, kind), "check.kind", REG_CHECK_ID_MAX},
	{offsetof(struct reg_check, path), NULL, 0},
	{offsetof(struct reg_check, method), NULL, 0},
	{offsetof(struct reg_check, body), NULL, 0},
	{offsetof(struct reg_check, service), NULL, 0},
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

static const char *text_of(const struct reg_check *check, unsigned i)
{
	return *(const char *const *)((const char *)check + texts[i].at);
}

static int texts_fit(const struct reg_check *check, struct reg_err *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < TEXTS; i++)
		if (texts[i].field)
			rc = text_fits(texts[i].field, text_of(check, i), texts[i].max, err);
	if (!rc && check->output_max > REG_OUTPUT_MAX)
		rc = reg_fail(err, -EINVAL, "check.output_max: over %d", REG_OUTPUT_MAX);
	return rc;
}

static int turns_fit(const struct reg_check *check, struct reg_err *err)
{
	bool for_ever = check->type == REG_CHECK_TTL && check->interval_ms == 0;

	if (!for_ever && (check->interval_ms < 10 || check->interval_ms > interval_max(check->type)))
		return reg_fail(err, -EINVAL, "check.interval_ms: %u is out of range 10..%u",
			check->interval_ms, interval_max(check->type));
	if (check->timeout_ms < 1 || check->timeout_ms > 600000)
		return reg_fail(
			err, -EINVAL, "check.timeout_ms: %u is out of range 1..600000", check->timeout_ms);
	if (check->rise < 1 || check->rise > 100)
		return reg_fail(err, -EINVAL, "check.rise: %u is out of range 1..100", check->rise);
	if (check->fall < 1 || check->fall > 100)
		return reg_fail(err, -EINVAL, "check.fall: %u is out of range 1..100", check->fall);
	if (check->warn > 100)
		return reg_fail(err, -EINVAL, "check.warn: %u is out of range 0..100", check->warn);
	return 0;
}

int spec_valid(const struct reg_check *check, struct reg_err *err)
{
	const struct check_type *type = check_type_of(check->type);
	int rc;

	if (check->type == REG_CHECK_NONE)
		return 0;
	if (!type)
		return reg_fail(
			err, -ENOTSUP, "check.type: %s is not supported", reg_check_type_name(check->type));
	rc = fits(check, err);
	if (!rc)
		rc = texts_fit(check, err);
	if (!rc && type->start)
		rc = turns_fit(check, err);
	return !rc && type->valid ? type->valid(check, err) : rc;
}

int specs_valid(const struct reg_check *checks, unsigned n, struct reg_err *err)
{
	int rc = 0;

	if (n > REG_CHECKS_MAX)
		return reg_fail(err, -EINVAL, "checks: more than %d", REG_CHECKS_MAX);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		rc = spec_valid(&checks[i], err);
		for (unsigned other = 0; rc == 0 && other < i; other++)
			if (text_same(checks[i].id, checks[other].id))
				rc = reg_fail(err, -EINVAL, "checks: two have the id %s",
					checks[i].id ? checks[i].id : "\"\"");
	}
	return rc;
}

static size_t texts_size(const struct reg_check *check)
{
	size_t size = 0;

	for (unsigned i = 0; i < TEXTS; i++)
		size += text_size(text_of(check, i));
	for (unsigned i = 0; i < check->nheader; i++)
		size += text_size(check->headers[i].key) + text_size(check->headers[i].value);
	return size;
}

int specs_copy(const struct reg_check *from, unsigned n, struct reg_check **out)
{
	size_t size = n * sizeof(*from);
	struct reg_pair *header;
	struct reg_check *to;
	char *text;

	*out = NULL;
	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		size += from[i].nheader * sizeof(*header) + texts_size(&from[i]);
	to = malloc(size);
	if (!to)
		return -ENOMEM;
	memcpy(to, from, n * sizeof(*from));
	header = (struct reg_pair *)(to + n);
	text = (char *)header;
	for (unsigned i = 0; i < n; i++)
		text += from[i].nheader * sizeof(*header);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned t = 0; t < TEXTS; t++)
			*(const char **)((char *)&to[i] + texts[t].at) =
				text_put(&text, text_of(&from[i], t));
		to[i].headers = header;
		for (unsigned h = 0; h < from[i].nheader; h++, header++)
			*header = (struct reg_pair){text_put(&text, from[i].headers[h].key),
				text_put(&text, from[i].headers[h].value)};
	}
	*out = to;
	return 0;
}

bool spec_same(const struct reg_check *a, const struct reg_check *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == REG_CHECK_NONE)
		return true;
	for (unsigned i = 0; i < TEXTS; i++)
		if (!text_same(text_of(a, i), text_of(b, i)))
			return false;
	return a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms && a->rise == b->rise &&
	       a->fall == b->fall && a->warn == b->warn && a->tls == b->tls &&
	       a->tls_skip_verify == b->tls_skip_verify && a->port == b->port &&
	       ip_equal(a->address, b->address) && a->reap_ms == b->reap_ms &&
	       a->output_max == b->output_max && a->has_initial == b->has_initial &&
	       (!a->has_initial || a->initial == b->initial) &&
	       text_same_pairs(a->headers, a->nheader, b->headers, b->nheader);
}

bool specs_same(const struct reg_check *a, unsigned na, const struct reg_check *b, unsigned nb)
{
	if (na != nb)
		return false;
	for (unsigned i = 0; i < na; i++)
		if (!spec_same(&a[i], &b[i]))
			return false;
	return true;
}
