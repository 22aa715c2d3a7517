/* api-docs.c: prints docs/api.md from the method tables. Links control and is not installed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/methods/list.h"

static const char head[] =
	"# API\n\n"
	"<!-- Generated from the method tables in control/: ninja -C build docs/api.md, then copy it here.\n"
	"     A test fails when this file is stale. -->\n\n"
	"JSON-RPC 2.0, one object a line, over the daemon's Unix stream socket "
	"(`/run/sluice/control.sock`).\n"
	"`sluicectl NOUN VERB` calls the method `noun.verb`; its options are the fields below with `-` for "
	"`_`, lists\n"
	"comma-separated, nested fields joined (`--check-type tcp`). The same objects make up the "
	"configuration file.\n\n"
	"```\n"
	"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"network.add\", \"params\": {\"name\": \"web\"}}\n"
	"{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {...}}\n"
	"```\n\n"
	"## Errors\n\n"
	"An error changes nothing. Its message is one line that begins with the field where there is one.\n\n"
	"| code | means |\n|---|---|\n"
	"| -32700 | not JSON |\n"
	"| -32600 | not a request, or a line over 1 MiB |\n"
	"| -32601 | no such method |\n"
	"| -32602 | invalid: a parameter is missing, unknown, mistyped, out of range, or contradicts another "
	"|\n"
	"| -32001 | not found |\n"
	"| -32002 | exists already |\n"
	"| -32003 | in use |\n"
	"| -32004 | unsupported in this version |\n"
	"| -32005 | internal: the system refused |\n\n"
	"A method that changes something answers at once; 0.1 s later the change is on the disk. While the "
	"disk takes\n"
	"nothing, changes still take effect, and each answer has `not_kept`, which says why; `status` too. "
	"See\n"
	"[what is kept](howto/state.md).\n\n"
	"## Notifications\n\n"
	"After `service.watch`, the connection gets `service.changed` after each change, with what "
	"`service.show` answers\n"
	"as parameters, or `{\"name\": NAME, \"gone\": true}` of a deleted service, and `changes`: what "
	"changed "
	"and why, as in\n"
	"`/v1/sluice/watch` ([discovery](howto/discovery.md#follow-what-changes)), up to 64. Of a service "
	"with more "
	"than "
	"256 backends,\n"
	"changes that come while the connection is told something are told together, without `changes`; "
	"`service.set` answers "
	"without "
	"them.\n\n"
	"After `fdb.watch`, the connection gets `fdb.moved` with `network`, `mac`, `what`, `from_port` or "
	"`from_vtep`,\n"
	"`to_port` or `to_vtep`, and `left_out`. `what` is `moved`, or why the MAC stays where it was: "
	"`held` (it "
	"moved\n"
	"too often, the network's `mac_moves`), `sticky` (its port's `mac_action`), `owned` (it is its "
	"port's own). At "
	"most 10\n"
	"a second of a network are told; `left_out` says how many were not, before this one.\n";

static void print_fields(const struct api_field *fields, const char *prefix)
{
	char takes[256], inner[128];

	for (; fields->name; fields++) {
		schema_describe(fields, takes, sizeof(takes));
		for (char *p = takes; *p; p++)
			if (*p == '|')
				*p = '/'; /* a bar would end the cell */
		printf("| `%s%s` | %s | %s | %s |\n", prefix, fields->name, takes,
			fields->required ? "required"
			: fields->def	 ? fields->def
					 : "",
			fields->help ? fields->help : "");
		if (fields->type != API_OBJECT)
			continue;
		snprintf(inner, sizeof(inner), "%s%s.", prefix, fields->name);
		print_fields(fields->fields, inner);
	}
}

static void print_method(void *arg, const struct api_method *method)
{
	char *noun = arg;
	size_t len = strcspn(method->name, ".");

	if (strlen(noun) != len || strncmp(noun, method->name, len) != 0) {
		snprintf(noun, 64, "%.*s", (int)len, method->name);
		printf("\n## %s\n", noun);
	}
	printf("\n### %s\n\n%s.%s\n", method->name, method->help, method->changes ? "" : " Changes nothing.");
	if (!method->fields || !method->fields->name)
		return;
	printf("\n| field | takes | default | what |\n|---|---|---|---|\n");
	print_fields(method->fields, "");
}

int main(void)
{
	char noun[64] = "";

	printf("%s", head);
	methods_walk(print_method, noun);
	return 0;
}
