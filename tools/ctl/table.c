#include "tools/ctl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 32, CELL = 160 };

struct columns {
	size_t count;
	const char *field[COLUMNS_MAX], *title[COLUMNS_MAX];
	int width[COLUMNS_MAX];
};

static void cell(const json_t *value, char buf[CELL])
{
	char *text;
	size_t at = 0, i;
	json_t *item;

	buf[0] = '\0';
	if (!value || json_is_null(value)) {
		snprintf(buf, CELL, "-");
	} else if (json_is_string(value)) {
		snprintf(buf, CELL, "%s", json_string_value(value));
	} else if (json_is_real(value)) {
		snprintf(buf, CELL, "%.1f", json_real_value(value));
	} else if (json_is_boolean(value)) {
		snprintf(buf, CELL, "%s", json_is_true(value) ? "yes" : "no");
	} else if (json_is_array(value) && !json_is_object(json_array_get(value, 0))) {
		json_array_foreach (value, i, item) {
			char one[CELL];

			cell(item, one);
			at += (size_t)snprintf(buf + at, CELL - at, "%s%s", i ? "," : "", one);
			if (at >= CELL)
				break;
		}
		if (!json_array_size(value))
			snprintf(buf, CELL, "-");
	} else {
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		snprintf(buf, CELL, "%s", text ? text : "");
		free(text);
	}
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
		out.title[out.count++] = json_string_value(json_object_get(value, "title"));
	}
	if (out.count)
		return out;
	json_object_foreach (json_array_get(rows, 0), key, value) {
		if (out.count == COLUMNS_MAX)
			break;
		out.field[out.count] = key;
		out.title[out.count++] = key;
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
		if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
			continue;
		cell(value, buf);
		printf("%-*s  %s\n", width, key, buf);
	}
	json_object_foreach ((json_t *)object, key, value) {
		if (!json_is_array(value) || !json_is_object(json_array_get(value, 0)))
			continue;
		printf("\n%s\n", key);
		print_rows(value, NULL);
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
