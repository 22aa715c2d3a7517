/*
 * parse.c: from text to tree, by recursive descent:
 *
 *   or    := and { "or" and }
 *   and   := not { "and" not }
 *   not   := "not" not | "(" or ")" | match
 *   match := SELECTOR "==" VALUE | SELECTOR "!=" VALUE | VALUE ["not"] "in" SELECTOR
 *          | SELECTOR ["not"] ("contains" | "matches") VALUE | SELECTOR "is" ["not"] "empty"
 *
 * Whether a word is a selector or a value shows only behind it: `web in Tags`, `Port == 80`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/filter/tree.h"
#include "registry/table/table.h"

struct parser {
	struct lexer lexer;
	struct reg_err *err;
	unsigned depth, nodes, patterns;
	int rc; /* of the first failure */
};

static struct filter *parse_or(struct parser *p);

static void *fail(struct parser *p, int rc, const char *what)
{
	if (!p->rc)
		p->rc = reg_fail(
			p->err, rc, "at character %d: %s", (int)(p->lexer.begin - p->lexer.start) + 1, what);
	return NULL;
}

static struct filter *node_new(struct parser *p, enum filter_op op)
{
	struct filter *node = NULL;

	if (++p->nodes > FILTER_NODES)
		return fail(p, -EINVAL, "too long");
	node = calloc(1, sizeof(*node));
	if (!node)
		return fail(p, -ENOMEM, "out of memory");
	node->op = op;
	return node;
}

void filter_free(struct filter *filter)
{
	if (!filter)
		return;
	filter_free(filter->left);
	filter_free(filter->right);
	for (unsigned i = 0; i < filter->npath; i++)
		free(filter->path[i]);
	free(filter->value);
	pattern_free(filter->pattern);
	free(filter);
}

/* Wraps `inner` in a not. */
static struct filter *negate(struct parser *p, struct filter *inner)
{
	struct filter *node = inner ? node_new(p, FILTER_NOT) : NULL;

	if (!node)
		filter_free(inner);
	else
		node->left = inner;
	return node;
}

static bool add_part(struct parser *p, struct filter *node)
{
	if (node->npath == FILTER_PATH)
		return fail(p, -EINVAL, "the selector has too many parts");
	node->path[node->npath] = strdup(p->lexer.text);
	if (!node->path[node->npath])
		return fail(p, -ENOMEM, "out of memory");
	node->npath++;
	filter_next(&p->lexer);
	return true;
}

/* .Name and ["name"], as many as there are */
static bool take_parts(struct parser *p, struct filter *node)
{
	struct lexer *lexer = &p->lexer;

	while (lexer->token == TOKEN_DOT || lexer->token == TOKEN_KEY_OPEN) {
		bool key = lexer->token == TOKEN_KEY_OPEN;

		filter_next(lexer);
		if (lexer->token != (key ? TOKEN_STRING : TOKEN_WORD))
			return fail(p, -EINVAL, key ? "a key in quotes is expected" : "a name is expected");
		if (!add_part(p, node))
			return false;
		if (key && lexer->token != TOKEN_KEY_CLOSE)
			return fail(p, -EINVAL, "] is expected");
		if (key)
			filter_next(lexer);
	}
	return true;
}

static bool take_selector(struct parser *p, struct filter *node)
{
	if (p->lexer.token != TOKEN_WORD)
		return fail(p, -EINVAL, "a selector is expected");
	return add_part(p, node) && take_parts(p, node);
}

static bool take_value(struct parser *p, struct filter *node)
{
	if (p->lexer.token != TOKEN_WORD && p->lexer.token != TOKEN_STRING)
		return fail(p, -EINVAL, "a value is expected");
	node->value = strdup(p->lexer.text);
	if (!node->value)
		return fail(p, -ENOMEM, "out of memory");
	filter_next(&p->lexer);
	return true;
}

static bool take_pattern(struct parser *p, struct filter *node)
{
	const char *begin = p->lexer.begin;

	if (!take_value(p, node))
		return false;
	if (++p->patterns > FILTER_PATTERNS)
		return fail(p, -EINVAL, "too many regular expressions");
	node->pattern = pattern_make(node->value);
	if (node->pattern)
		return true;
	p->lexer.begin = begin;
	return fail(p, -EINVAL, "not a regular expression");
}

/* The value has been read: ["not"] "in" SELECTOR. */
static bool take_in(struct parser *p, struct filter *node)
{
	node->negated = filter_is_word(&p->lexer, "not");
	if (node->negated)
		filter_next(&p->lexer);
	if (!filter_is_word(&p->lexer, "in"))
		return fail(p, -EINVAL, "an operator is expected");
	filter_next(&p->lexer);
	node->op = FILTER_IN;
	return take_selector(p, node);
}

static bool take_empty(struct parser *p, struct filter *node)
{
	filter_next(&p->lexer);
	node->negated = filter_is_word(&p->lexer, "not");
	if (node->negated)
		filter_next(&p->lexer);
	if (!filter_is_word(&p->lexer, "empty"))
		return fail(p, -EINVAL, "empty is expected");
	filter_next(&p->lexer);
	node->op = FILTER_EMPTY;
	return true;
}

/* What follows a word, which is a selector or, with `in` behind it, a value. */
static bool take_operator(struct parser *p, struct filter *node)
{
	struct lexer *lexer = &p->lexer;

	node->negated = lexer->token == TOKEN_NE;
	if (lexer->token == TOKEN_EQ || lexer->token == TOKEN_NE) {
		filter_next(lexer);
		node->op = FILTER_EQ;
		return take_value(p, node);
	}
	if (filter_is_word(lexer, "is"))
		return take_empty(p, node);
	node->negated = filter_is_word(lexer, "not");
	if (node->negated)
		filter_next(lexer);
	if (filter_is_word(lexer, "contains")) {
		filter_next(lexer);
		node->op = FILTER_IN;
		return take_value(p, node);
	}
	if (filter_is_word(lexer, "matches")) {
		filter_next(lexer);
		node->op = FILTER_MATCHES;
		return take_pattern(p, node);
	}
	if (!filter_is_word(lexer, "in") || node->npath != 1)
		return fail(p, -EINVAL, "an operator is expected");
	node->value = node->path[0];
	node->path[0] = NULL;
	node->npath = 0;
	filter_next(lexer);
	node->op = FILTER_IN;
	return take_selector(p, node);
}

static struct filter *parse_match(struct parser *p)
{
	struct filter *node = node_new(p, FILTER_EQ);
	bool good = false;

	if (node && p->lexer.token == TOKEN_STRING)
		good = take_value(p, node) && take_in(p, node);
	else if (node)
		good = take_selector(p, node) && take_operator(p, node);
	if (good)
		return node;
	filter_free(node);
	return NULL;
}

static struct filter *parse_group(struct parser *p)
{
	struct filter *node;

	filter_next(&p->lexer);
	node = parse_or(p);
	if (node && p->lexer.token != TOKEN_CLOSE) {
		fail(p, -EINVAL, ") is expected");
		filter_free(node);
		return NULL;
	}
	filter_next(&p->lexer);
	return node;
}

static struct filter *parse_not(struct parser *p)
{
	struct filter *node;

	if (++p->depth > FILTER_DEPTH)
		return fail(p, -EINVAL, "nested too deep");
	if (filter_is_word(&p->lexer, "not")) {
		filter_next(&p->lexer);
		node = negate(p, parse_not(p));
	} else if (p->lexer.token == TOKEN_OPEN) {
		node = parse_group(p);
	} else {
		node = parse_match(p);
	}
	p->depth--;
	return node;
}

/* part { word part } */
static struct filter *parse_chain(
	struct parser *p, const char *word, enum filter_op op, struct filter *(*part)(struct parser *p))
{
	struct filter *left = part(p), *node;

	while (left && filter_is_word(&p->lexer, word)) {
		filter_next(&p->lexer);
		node = node_new(p, op);
		if (!node) {
			filter_free(left);
			return NULL;
		}
		node->left = left;
		node->right = part(p);
		left = node;
		if (!node->right) {
			filter_free(node);
			return NULL;
		}
	}
	return left;
}

static struct filter *parse_and(struct parser *p)
{
	return parse_chain(p, "and", FILTER_AND, parse_not);
}

static struct filter *parse_or(struct parser *p)
{
	return parse_chain(p, "or", FILTER_OR, parse_and);
}

int filter_parse(const char *text, struct filter **out, struct reg_err *err)
{
	struct parser p = {.lexer = {.start = text, .at = text}, .err = err};

	if (strlen(text) > FILTER_MAX)
		return reg_fail(err, -EINVAL, "longer than %d bytes", FILTER_MAX);
	filter_next(&p.lexer);
	*out = parse_or(&p);
	if (*out && p.lexer.token != TOKEN_END) {
		fail(&p, -EINVAL, "and, or, or the end is expected");
		filter_free(*out);
		*out = NULL;
	}
	return p.rc;
}
