/* http-routes.c: prints the table of what is served over HTTP as JSON, for tools/http-docs. Is not installed. */
#include <jansson.h>
#include <stdio.h>

#include "registry/http/server.h"
#include "registry/source/consul/consul.h"

static json_t *verbs_json(unsigned verbs)
{
	static const struct {
		enum http_verb verb;
		const char *name;
	} names[] = {{VERB_GET, "GET"}, {VERB_PUT, "PUT"}, {VERB_POST, "POST"}, {VERB_DELETE, "DELETE"}};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (verbs & names[i].verb)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

int main(void)
{
	json_t *list = json_array();

	for (const struct http_route *route = consul_api(NULL).routes; route->path; route++)
		json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:b, s:b, s:b, s:s?}", "path",
						    route->path, "verbs", verbs_json(route->verbs), "waits",
						    !route->view	   ? ""
						    : route->view->by_hash ? "hash"
									   : "index",
						    "open", route->open, "by_get", route->also_by_get,
						    "cached", route->cached, "why", route->why));
	json_dumpf(list, stdout, JSON_INDENT(1));
	printf("\n");
	json_decref(list);
	return 0;
}
