/* Consul's filter language: whatever the text, it is parsed or refused, and what is parsed can be asked. */
#include <stdlib.h>
#include <string.h>

#include "registry/filter/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *make_item(void)
{
	return json_loads("{\"ID\": \"web-1\", \"Port\": 8080, \"Tags\": [\"v1\", \"blue\"], \"Up\": true,"
			  " \"Meta\": {\"zone\": \"eu-1\", \"a.b\": \"dotted\"}, \"Note\": \"\","
			  " \"Node\": {\"Name\": \"edge1\", \"Meta\": {}},"
			  " \"Checks\": [{\"Status\": \"passing\"}, {\"Status\": \"warning\"}]}",
		0, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1); /* of its own, so that a byte too far is noticed */
	json_t *item = make_item();
	struct pattern_budget budget = PATTERN_BUDGET;
	struct filter *filter = NULL;
	struct reg_err err;

	memcpy(text, data, size);
	text[size] = '\0';
	if (filter_parse(text, &filter, &err) == 0)
		filter_match(filter, item, NULL, &budget, &err);
	filter_free(filter);
	json_decref(item);
	free(text);
	return 0;
}
