/* lex.c: the words of a filter. */
#include <ctype.h>
#include <string.h>

#include "registry/filter/tree.h"

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_-/:+", c));
}

static void put(struct lexer *lexer, size_t *len, char c)
{
	if (*len < sizeof(lexer->text) - 1)
		lexer->text[(*len)++] = c;
	else
		lexer->token = TOKEN_BAD;
}

/* Up to the closing quote; a backslash protects the next character, but not in backticks. */
static void take_string(struct lexer *lexer, char quote)
{
	size_t len = 0;

	lexer->token = TOKEN_STRING;
	for (lexer->at++; *lexer->at && *lexer->at != quote; lexer->at++) {
		if (*lexer->at == '\\' && quote == '"' && lexer->at[1] && strchr("\"\\", lexer->at[1]))
			lexer->at++;
		put(lexer, &len, *lexer->at);
	}
	lexer->text[len] = '\0';
	if (*lexer->at)
		lexer->at++;
	else
		lexer->token = TOKEN_BAD;
}

/* A dot inside a number ("1.5") belongs to it; elsewhere it divides a selector. */
static void take_word(struct lexer *lexer)
{
	bool number = isdigit((unsigned char)*lexer->at) || *lexer->at == '-';
	size_t len = 0;

	lexer->token = TOKEN_WORD;
	while (is_word_char(*lexer->at) || (number && *lexer->at == '.'))
		put(lexer, &len, *lexer->at++);
	lexer->text[len] = '\0';
}

static enum token sign(struct lexer *lexer)
{
	static const struct {
		const char *text;
		enum token token;
	} signs[] = {{"==", TOKEN_EQ}, {"!=", TOKEN_NE}, {"(", TOKEN_OPEN}, {")", TOKEN_CLOSE},
		{"[", TOKEN_KEY_OPEN}, {"]", TOKEN_KEY_CLOSE}, {".", TOKEN_DOT}};

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		size_t len = strlen(signs[i].text);

		if (strncmp(lexer->at, signs[i].text, len) == 0) {
			lexer->at += len;
			return signs[i].token;
		}
	}
	return TOKEN_BAD;
}

void filter_next(struct lexer *lexer)
{
	while (isspace((unsigned char)*lexer->at))
		lexer->at++;
	lexer->begin = lexer->at;
	lexer->text[0] = '\0';
	if (!*lexer->at)
		lexer->token = TOKEN_END;
	else if (*lexer->at == '"' || *lexer->at == '`')
		take_string(lexer, *lexer->at);
	else if (is_word_char(*lexer->at))
		take_word(lexer);
	else
		lexer->token = sign(lexer);
}

bool filter_is_word(const struct lexer *lexer, const char *word)
{
	return lexer->token == TOKEN_WORD && strcmp(lexer->text, word) == 0;
}
