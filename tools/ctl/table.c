#include "tools/ctl/table.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS_MAX = 32, CELL = 160 };

struct columns {
	size_t count;
	const char *field[COLUMNS_MAX];
	char title[COLUMNS_MAX][CELL];
	int width[COLUMNS_MAX];
};

static void cell(const json_t *value, char buf[CELL]);

/* Adds a piece to a cell, cut at its end. */
static size_t add(char buf[CELL], size_t at, const char *between, const char *piece)
{
	if (at < CELL)
		at += (size_t)snprintf(buf + at, CELL - at, "%s%s", at ? between : "", piece);
	return at;
}

/* "10.1.0.11,10.1.0.12" */
static void list_cell(const json_t *list, char buf[CELL])
{
	char one[CELL];
	size_t at = 0, i;
	json_t *item;

	json_array_foreach ((json_t *)list, i, item) {
		cell(item, one);
		at = add(buf, at, ",", one);
	}
}

/* "type=tcp interval_ms=1000" */
static void object_cell(const json_t *object, char buf[CELL])
{
	char one[CELL];
	const char *key;
	size_t at = 0;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		cell(value, one);
		at = add(buf, at, " ", key);
		if (at < CELL)
			at += (size_t)snprintf(buf + at, CELL - at, "=%s", one);
	}
}

/* Texts of several lines on one. */
static void line_cell(const char *text, char buf[CELL])
{
	snprintf(buf, CELL, "%s", text);
	for (char *c = buf; *c; c++)
		if (isspace((unsigned char)*c))
			*c = ' ';
}

static void cell(const json_t *value, char buf[CELL])
{
	buf[0] = '\0';
	if (json_is_string(value))
		line_cell(json_string_value(value), buf);
	else if (json_is_integer(value))
		snprintf(buf, CELL, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(buf, CELL, "%.1f", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(buf, CELL, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_array(value))
		list_cell(value, buf);
	else if (json_is_object(value))
		object_cell(value, buf);
	if (!buf[0])
		snprintf(buf, CELL, "-");
}

/* "cycles_per_packet" as "CYCLES PER PACKET", for tables that nobody gave titles. */
static const char *title_of(const char *key, char buf[CELL])
{
	snprintf(buf, CELL, "%s", key);
	for (char *p = buf; *p; p++)
		*p = *p == '_' ? ' ' : (char)toupper((unsigned char)*p);
	return buf;
}

static bool is_table(const json_t *value)
{
	return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

/* Does any of the rows have a table of its own there? */
static bool holds_tables(const json_t *rows, const char *field)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row)
		if (is_table(json_object_get(row, field)))
			return true;
	return false;
}

static struct columns choose(const json_t *rows, const json_t *columns)
{
	struct columns out = {0};
	const char *key;
	json_t *value;
	size_t i;

	json_array_foreach ((json_t *)columns, i, value) {
		if (out.count == COLUMNS_MAX)
			break;
		out.field[out.count] = json_string_value(json_object_get(value, "field"));
		snprintf(out.title[out.count++], CELL, "%s",
			json_string_value(json_object_get(value, "title")));
	}
	if (out.count)
		return out;
	json_object_foreach (json_array_get(rows, 0), key, value) {
		if (out.count == COLUMNS_MAX)
			break;
		if (holds_tables(rows, key))
			continue;
		out.field[out.count] = key;
		title_of(key, out.title[out.count++]);
	}
	return out;
}

static void print_rows(const json_t *rows, const json_t *described)
{
	struct columns c = choose(rows, described);
	char buf[CELL];
	json_t *row;
	size_t i;

	for (size_t k = 0; k < c.count; k++)
		c.width[k] = (int)strlen(c.title[k]);
	json_array_foreach ((json_t *)rows, i, row)
		for (size_t k = 0; k < c.count; k++) {
			cell(json_object_get(row, c.field[k]), buf);
			if ((int)strlen(buf) > c.width[k])
				c.width[k] = (int)strlen(buf);
		}
	for (size_t k = 0; k < c.count; k++)
		printf("%-*s%s", k + 1 < c.count ? c.width[k] : 0, c.title[k], k + 1 < c.count ? "  " : "\n");
	json_array_foreach ((json_t *)rows, i, row)
		for (size_t k = 0; k < c.count; k++) {
			cell(json_object_get(row, c.field[k]), buf);
			printf("%-*s%s", k + 1 < c.count ? c.width[k] : 0, buf,
				k + 1 < c.count ? "  " : "\n");
		}
}

/* The tables that the rows hold, as one with a column that says whose each line is. */
static void print_inner(const json_t *rows, const char *field)
{
	json_t *all = json_array(), *line;
	const json_t *row, *inner;
	size_t i, j;

	json_array_foreach (rows, i, row) {
		const char *first = json_object_iter_key(json_object_iter((json_t *)row));

		json_array_foreach (json_object_get(row, field), j, inner) {
			line = json_pack("{s:O}", "of", json_object_get(row, first));
			json_object_update(line, (json_t *)inner);
			json_array_append_new(all, line);
		}
	}
	print_rows(all, NULL);
	json_decref(all);
}

/* A table, and below it those that its rows hold. */
static void print_tables(const char *name, const json_t *rows)
{
	char buf[CELL];
	const char *key;
	json_t *value;

	printf("\n%s\n", title_of(name, buf));
	print_rows(rows, NULL);
	json_object_foreach (json_array_get(rows, 0), key, value) {
		if (!holds_tables(rows, key))
			continue;
		printf("\n%s\n", title_of(key, buf));
		print_inner(rows, key);
	}
}

/* Scalars first, then the tables inside. */
static void print_object(const json_t *object)
{
	const char *key;
	json_t *value;
	char buf[CELL];
	int width = 0;

	json_object_foreach ((json_t *)object, key, value)
		width = (int)strlen(key) > width ? (int)strlen(key) : width;
	json_object_foreach ((json_t *)object, key, value) {
		if (is_table(value))
			continue;
		cell(value, buf);
		printf("%-*s  %s\n", width, key, buf);
	}
	json_object_foreach ((json_t *)object, key, value) {
		if (is_table(value))
			print_tables(key, value);
	}
}

void table_print(const json_t *result, const json_t *columns)
{
	char buf[CELL];

	if (json_is_array(result)) {
		print_rows(result, columns);
	} else if (json_is_object(result)) {
		print_object(result);
	} else {
		cell(result, buf);
		printf("%s\n", buf);
	}
}
