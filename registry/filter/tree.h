/*
 * tree.h: a parsed filter, between lex.c, parse.c and eval.c.
 */
#pragma once

#include "registry/filter/filter.h"
#include "registry/filter/pattern.h"

enum token {
	TOKEN_END,
	TOKEN_WORD,   /* a selector, a keyword or a bare value */
	TOKEN_STRING, /* quoted: only a value, or a key in brackets */
	TOKEN_EQ,
	TOKEN_NE,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_KEY_OPEN,
	TOKEN_KEY_CLOSE,
	TOKEN_DOT,
	TOKEN_BAD,
};

struct lexer {
	const char *start, *at;
	enum token token;  /* the current one */
	const char *begin; /* where it begins */
	char text[512];	   /* of a word or string */
};

/** Steps to the next token. */
void filter_next(struct lexer *lexer);
bool filter_is_word(const struct lexer *lexer, const char *word);

enum filter_op {
	FILTER_AND,
	FILTER_OR,
	FILTER_NOT,
	FILTER_EQ,
	FILTER_IN, /* the value is an element, a key or a part of what is selected */
	FILTER_MATCHES,
	FILTER_EMPTY,
};

enum { FILTER_PATH = 8 };

struct filter {
	enum filter_op op;
	bool negated; /* !=, not in, is not empty, ...: of each element that a selector means */
	struct filter *left, *right; /* of and, or; not has left only */
	char *path[FILTER_PATH];     /* of the selector */
	unsigned npath;
	char *value;
	struct pattern *pattern;
};
