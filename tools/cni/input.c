#include "tools/cni/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20, NAME_MAX_LEN = 255 };

json_t *input_read(struct cni_err *err)
{
	char *text = malloc(INPUT_MAX + 1);
	size_t len = text ? fread(text, 1, INPUT_MAX + 1, stdin) : 0;
	json_error_t why;
	json_t *object = NULL;

	if (!text)
		cni_fail(err, CNI_IO, "out of memory");
	else if (ferror(stdin))
		cni_fail(err, CNI_IO, "standard input cannot be read");
	else if (len > INPUT_MAX)
		cni_fail(err, CNI_DECODE, "standard input: more than %d bytes", INPUT_MAX);
	else if (!(object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why)))
		cni_fail(err, CNI_DECODE, "standard input, line %d: %s", why.line, why.text);
	free(text);
	if (object && !json_is_object(object)) {
		json_decref(object);
		object = NULL;
		cni_fail(err, CNI_DECODE, "standard input: must be an object");
	}
	return object;
}

/* NULL when it is absent, or null as Go's programs write it. */
static json_t *value_of(const json_t *object, const char *field)
{
	json_t *value = json_object_get(object, field);

	return json_is_null(value) ? NULL : value;
}

const char *input_text(const json_t *object, const char *field, const char *path, struct cni_err *err)
{
	const json_t *value = value_of(object, field);

	if (value && !json_is_string(value)) {
		cni_fail(err, CNI_BAD_CONF, "%s%s: must be a string", path, field);
		return NULL;
	}
	return value ? json_string_value(value) : "";
}

int input_texts(
	const json_t *object, const char *field, const char *path, const json_t **list, struct cni_err *err)
{
	json_t *item;
	size_t i;

	*list = value_of(object, field);
	if (*list && !json_is_array(*list))
		return cni_fail(err, CNI_BAD_CONF, "%s%s: must be a list", path, field);
	json_array_foreach ((json_t *)*list, i, item)
		if (!json_is_string(item))
			return cni_fail(err, CNI_BAD_CONF, "%s%s[%zu]: must be a string", path, field, i);
	return 0;
}

int input_object(
	const json_t *object, const char *field, const char *path, const json_t **inner, struct cni_err *err)
{
	*inner = value_of(object, field);
	if (*inner && !json_is_object(*inner))
		return cni_fail(err, CNI_BAD_CONF, "%s%s: must be an object", path, field);
	return 0;
}

int input_number(const json_t *object, const char *field, const char *path, json_int_t min, json_int_t max,
	json_int_t absent, json_int_t *number, struct cni_err *err)
{
	const json_t *value = value_of(object, field);

	*number = absent;
	if (!value)
		return 0;
	if (!json_is_integer(value))
		return cni_fail(err, CNI_BAD_CONF, "%s%s: must be an integer", path, field);
	*number = json_integer_value(value);
	if (*number < min || *number > max)
		return cni_fail(err, CNI_BAD_CONF, "%s%s: out of range %lld..%lld", path, field,
			(long long)min, (long long)max);
	return 0;
}

int input_known(const json_t *object, const char *const *known, const char *path, struct cni_err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		const char *const *name = known;

		while (*name && strcmp(*name, key) != 0)
			name++;
		if (!*name && strncmp(key, "cni.dev/", 8) != 0)
			return cni_fail(err, CNI_BAD_CONF, "%s%.128s: unknown key", path, key);
	}
	return 0;
}

#define ALNUM "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

bool input_is_name(const char *text)
{
	size_t len = strlen(text);

	return len && len <= NAME_MAX_LEN && strspn(text, "._-" ALNUM) == len && !strchr("._-", text[0]);
}

bool input_is_ifname(const char *text)
{
	size_t len = strlen(text);

	if (!len || len > INPUT_IFNAME_MAX || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr("/:", *c))
			return false;
	return true;
}
