#include "tools/ctl/status.h"

#include <stdio.h>
#include <string.h>

#include "tools/ctl/client.h"
#include "tools/ctl/command.h"

enum { LINES_MAX = 20, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

/* `wrong` is everywhere the list of lines about what is wrong, of which the first LINES_MAX are printed. */

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static int is(const json_t *object, const char *key, const char *text)
{
	return strcmp(command_text(object, key), text) == 0;
}

/* "3 h 12 min": the two largest units. */
static void print_time(long long s)
{
	if (s >= DAY_S)
		printf("%lld d %lld h", s / DAY_S, s % DAY_S / HOUR_S);
	else if (s >= HOUR_S)
		printf("%lld h %lld min", s / HOUR_S, s % HOUR_S / MINUTE_S);
	else if (s >= MINUTE_S)
		printf("%lld min %lld s", s / MINUTE_S, s % MINUTE_S);
	else
		printf("%lld s", s);
}

static void print_head(const json_t *status)
{
	json_t *worker;
	size_t i;

	printf("sluiced %s, up ", command_text(status, "version"));
	print_time(number(status, "uptime_s"));
	printf(", %lld MB, generation %lld\n", number(status, "memory_mb"), number(status, "generation"));
	json_array_foreach (json_object_get(status, "workers"), i, worker)
		printf("    worker on CPU %lld  %s, busy %.1f %%\n", number(worker, "core"),
			command_text(worker, "state"), json_real_value(json_object_get(worker, "busy_pct")));
}

static void print_listeners(const json_t *status, json_t *wrong)
{
	const json_t *there = json_object_get(status, "listening"),
		     *away = json_object_get(status, "not_listening");
	json_t *server;
	size_t i;

	printf("\nListening\n");
	json_array_foreach ((json_t *)there, i, server)
		printf("    %-8s %s\n", command_text(server, "server"), command_text(server, "address"));
	json_array_foreach ((json_t *)away, i, server) {
		printf("    %-8s %s  DOWN: %s\n", command_text(server, "server"),
			command_text(server, "address"), command_text(server, "why"));
		json_array_append_new(
			wrong, json_sprintf("%s does not listen at %s: %s, for %lld s",
				       command_text(server, "server"), command_text(server, "address"),
				       command_text(server, "why"), number(server, "since_s")));
	}
	if (!json_array_size(there) && !json_array_size(away))
		printf("    only the control socket\n");
}

static void note_files(const json_t *status, json_t *wrong)
{
	json_t *file;
	size_t i;

	json_array_foreach (json_object_get(status, "not_kept"), i, file)
		json_array_append_new(
			wrong, json_sprintf("%s lacks changes that are in effect: %s, for %lld s",
				       command_text(file, "file"), command_text(file, "why"),
				       number(file, "since_s")));
}

static void print_kubernetes(const json_t *status, json_t *wrong)
{
	const json_t *followed = json_object_get(status, "kubernetes");
	const char *why = command_text(followed, "why");

	if (!followed)
		return;
	printf("\nKubernetes\n    %lld services, %lld endpoints in %lld slices%s\n",
		number(followed, "services"), number(followed, "endpoints"), number(followed, "slices"),
		json_is_true(json_object_get(followed, "synced")) ? "" : ", not all of them yet");
	if (*why)
		json_array_append_new(
			wrong, json_sprintf("Kubernetes' API server is not heard: %s, for %lld s", why,
				       number(followed, "since_s")));
	why = command_text(followed, "ways_why");
	if (*why)
		json_array_append_new(wrong,
			json_sprintf(
				"Kubernetes' node ports and external addresses do not lead in: %s", why));
	if (number(followed, "left_out"))
		json_array_append_new(wrong, json_sprintf("Kubernetes has more than there is room for: %lld "
							  "Services and slices are left out",
						     number(followed, "left_out")));
}

/* A list of the daemon's; what it refuses is wrong, too. */
static json_t *ask(struct client *client, const char *method, json_t *wrong)
{
	char error[CLIENT_ERROR];
	int code;
	json_t *list = client_call(client, method, NULL, error, sizeof(error), &code);

	if (!list)
		json_array_append_new(wrong, json_sprintf("%s: %s", method, error));
	return list;
}

/* Prints "ports 3, 1 down", and notes those that are. */
static void print_ports(const json_t *ports, json_t *wrong)
{
	size_t i, down = 0;
	json_t *port;

	json_array_foreach ((json_t *)ports, i, port) {
		const char *waiting = command_text(port, "waiting");

		if (is(port, "state", "up"))
			continue;
		down++;
		json_array_append_new(
			wrong, json_sprintf("port %s (%s of %s) is %s%s%s", command_text(port, "name"),
				       command_text(port, "type"),
				       *command_text(port, "network") ? command_text(port, "network")
								      : "the underlay",
				       *waiting ? "waiting" : command_text(port, "state"),
				       *waiting ? ": " : "", waiting));
	}
	printf("    %-10s %zu", "ports", json_array_size(ports));
	printf(down ? ", %zu down\n" : "\n", down);
}

/* Services without a vip are names alone, and nobody misses their backends here. */
static void print_services(const json_t *services, json_t *wrong)
{
	long long passing = 0, backends = 0;
	size_t i, empty = 0;
	json_t *service;

	json_array_foreach ((json_t *)services, i, service) {
		passing += number(service, "passing");
		backends += number(service, "backends");
		if (number(service, "passing") || !*command_text(service, "vip"))
			continue;
		empty++;
		json_array_append_new(
			wrong, json_sprintf("service %s (vip %s) has no passing backend, of %lld",
				       command_text(service, "name"), command_text(service, "vip"),
				       number(service, "backends")));
	}
	printf("    %-10s %zu", "services", json_array_size(services));
	printf(empty ? ", %zu without a passing backend\n" : "\n", empty);
	printf("    %-10s %lld", "backends", backends);
	printf(backends > passing ? ", %lld not passing\n" : "\n", backends - passing);
}

/* Vteps, of which several may be at one host; and the hosts that BFD says are dead. */
static void print_vteps(const json_t *vteps, const json_t *status, json_t *wrong)
{
	const json_t *peers = json_object_get(status, "peers");
	long long lost = number(peers, "lost");
	json_t *vtep;
	size_t i;

	json_array_foreach ((json_t *)vteps, i, vtep)
		if (is(vtep, "state", "down"))
			json_array_append_new(
				wrong, json_sprintf("vtep %s of %s is down: its host does not answer (BFD)",
					       command_text(vtep, "remote"), command_text(vtep, "network")));
	if (json_is_true(json_object_get(peers, "hold")))
		json_array_append_new(wrong, json_sprintf("%lld of %lld hosts are lost at once (BFD): too "
							  "many to believe, none is cut off",
						     lost, number(peers, "peers")));
	printf("    %-10s %zu", "vteps", json_array_size(vteps));
	if (number(peers, "peers"))
		printf(", %lld of %lld hosts up", number(peers, "up"), number(peers, "peers"));
	printf("\n");
}

static void print_count(const char *what, const json_t *list)
{
	printf("    %-10s %zu\n", what, json_array_size(list));
}

static void print_objects(struct client *client, const json_t *status, json_t *wrong)
{
	json_t *networks = ask(client, "network.list", wrong), *ports = ask(client, "port.list", wrong),
	       *services = ask(client, "service.list", wrong), *vteps = ask(client, "vtep.list", wrong),
	       *published = ask(client, "publish.list", wrong);

	printf("\nObjects\n");
	print_count("networks", networks);
	print_ports(ports, wrong);
	print_vteps(vteps, status, wrong);
	print_services(services, wrong);
	print_count("published", published);
	json_decref(networks);
	json_decref(ports);
	json_decref(services);
	json_decref(vteps);
	json_decref(published);
}

static void print_wrong(const json_t *wrong)
{
	size_t i, all = json_array_size(wrong);
	json_t *line;

	if (!all) {
		printf("\nNothing is down or wrong.\n");
		return;
	}
	printf("\nDown or wrong\n");
	json_array_foreach (wrong, i, line)
		if (i < LINES_MAX)
			printf("    %s\n", json_string_value(line));
	if (all > LINES_MAX)
		printf("    and %zu more\n", all - LINES_MAX);
}

void status_print(struct client *client, const json_t *status)
{
	json_t *wrong = json_array();

	print_head(status);
	print_listeners(status, wrong);
	note_files(status, wrong);
	print_kubernetes(status, wrong);
	print_objects(client, status, wrong);
	print_wrong(wrong);
	json_decref(wrong);
}
