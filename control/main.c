/* main.c: sluiced. Reads its arguments and configuration, makes what they name, and serves until it is told
 * to end. */
#include <event2/event.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/api/rpc.h"
#include "control/api/socket.h"
#include "control/base/ending.h"
#include "control/base/log.h"
#include "control/base/notify.h"
#include "control/config/config.h"
#include "control/config/state.h"
#include "control/cpu.h"
#include "control/global/global.h"
#include "control/methods/list.h"
#include "control/model/config.h"
#include "control/model/model.h"
#include "control/model/state_dir.h"
#include "control/serve.h"
#include "dataplane/dataplane.h"

#define DEFAULT_CONFIG "/etc/sluice/sluice.json"
#define DEFAULT_SOCKET "/run/sluice/control.sock"
#define DEFAULT_STATE "/var/lib/sluice"

enum { EXIT_USAGE = 2, FILES_WANTED = 65536 };

struct options {
	const char *config, *socket, *state;
	bool config_given, no_huge, check_only, repair;
};

struct daemon {
	struct options options;
	struct event_base *base;
	struct event *reload;
	struct ending *ending;
	json_t *config;
	struct model *model;
	struct state *state;
	struct rpc *rpc;
	struct serve *serve;
	struct global *global; /* NULL: this host is alone */
};

static void print_help(FILE *to)
{
	fprintf(to,
		"Usage: sluiced [OPTION]...\n"
		"Virtual switch with service discovery and load balancing, for containers at the edge.\n\n"
		"  --config FILE     configuration (" DEFAULT_CONFIG ", which may be missing)\n"
		"  --socket PATH     control socket (" DEFAULT_SOCKET ")\n"
		"  --state DIR       where objects made by the API are kept (" DEFAULT_STATE ")\n"
		"  --no-huge         do without huge pages\n"
		"  --log-level L     error, warning, notice, info or debug (info)\n"
		"  --repair          keep what is sound of damaged files in DIR, put the rest aside, and "
		"end\n"
		"  --check-config    check the configuration, touch nothing, and end\n"
		"  --version         print the version\n"
		"  --help            print this\n");
}

static void set_level(const char *name)
{
	int level = log_level_of(name);

	if (level < 0) {
		fprintf(stderr, "sluiced: --log-level: must be error, warning, notice, info or debug\n");
		exit(EXIT_USAGE);
	}
	log_set_level(level);
}

static struct options parse(int argc, char **argv)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, 's'},
		{"state", required_argument, NULL, 'd'},
		{"no-huge", no_argument, NULL, 'n'},
		{"log-level", required_argument, NULL, 'l'},
		{"repair", no_argument, NULL, 'r'},
		{"check-config", no_argument, NULL, 'k'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct options o = {.config = DEFAULT_CONFIG, .state = DEFAULT_STATE};
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			o.config_given = true;
			break;
		case 's':
			o.socket = optarg;
			break;
		case 'd':
			o.state = optarg;
			break;
		case 'n':
			o.no_huge = true;
			break;
		case 'l':
			set_level(optarg);
			break;
		case 'r':
			o.repair = true;
			break;
		case 'k':
			o.check_only = true;
			break;
		case 'v':
			printf("sluiced %s\n", SLUICE_VERSION);
			exit(0);
		case 'h':
			print_help(stdout);
			exit(0);
		default:
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluiced: unexpected argument \"%s\"\n", argv[optind]);
		exit(EXIT_USAGE);
	}
	return o;
}

/* Every port takes a few descriptors. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES_WANTED)
		return;
	limit.rlim_cur = FILES_WANTED;
	if (limit.rlim_max < FILES_WANTED)
		limit.rlim_max = FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_end(void *arg, int sig)
{
	log_line(LOG_INFO, "ending on signal %d", sig);
	event_base_loopbreak(((struct daemon *)arg)->base);
}

static void tell_refused(void *arg, const char *line)
{
	log_subject(LOG_ERR, line, "reload: %s", line);
}

struct reading {
	const json_t *old, *fresh;
};

/* Lists are brought to what the file says now; the objects beside them are read at the start. */
static void warn_of_part(void *arg, const char *name, const struct api_field *fields)
{
	const struct reading *reading = arg;

	if (!json_equal(json_object_get(reading->old, name), json_object_get(reading->fresh, name)))
		log_line(LOG_WARNING, "reload: changes of \"%s\" wait for a restart", name);
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	struct config_err err;
	struct api_err why = {0};
	json_t *fresh, *now;

	notify_reloading();
	if (config_load(d->options.config, false, &fresh, &err) < 0) {
		log_line(LOG_ERR, "reload: %s; nothing changed", err.text);
	} else {
		config_parts(warn_of_part, &(struct reading){d->config, fresh});
		now = config_change(d->model, d->config, fresh, tell_refused, NULL);
		json_decref(d->config);
		json_decref(fresh);
		d->config = now;
		if (serve_reload(d->serve, &why) < 0)
			log_line(LOG_ERR, "reload: %s; the files read before stay", why.text);
		log_line(LOG_INFO, "reloaded %s", d->options.config);
	}
	notify_systemd("READY=1");
}

static int fail(const char *text)
{
	fprintf(stderr, "sluiced: %s\n", text);
	return -1;
}

/* The directory that a default socket lies in is ours to make. */
static void make_socket_dir(const char *socket)
{
	char *copy = strdup(socket);

	if (copy)
		mkdir(dirname(copy), 0755);
	free(copy);
}

static const char *choose_socket(const struct daemon *d)
{
	const char *configured =
		json_string_value(json_object_get(json_object_get(d->config, "control"), "socket"));

	if (d->options.socket)
		return d->options.socket;
	return configured ? configured : DEFAULT_SOCKET;
}

/*
 * What of the configuration this host does not have. A start asks it first, --check-config nothing more.
 * Interfaces and files of ports are left to the start: a file may be checked on another host.
 */
static int check_host(const struct daemon *d, struct api_err *why)
{
	json_t *dataplane = config_dataplane(d->config);
	int cores[MODEL_CORES_MAX], rc;
	struct dp_config ignored = {0};

	rc = model_config_read(dataplane, d->options.no_huge, &ignored, cores, why);
	json_decref(dataplane);
	if (rc == 0)
		rc = rpc_socket_check(choose_socket(d), why);
	if (rc == 0)
		rc = serve_check(d->config, why);
	return rc;
}

static int start_model(struct daemon *d)
{
	const char *socket = choose_socket(d);
	char *copy = strdup(socket), vhost_dir[4096];
	json_t *dataplane = config_dataplane(d->config);
	struct model_config config = {d->base, vhost_dir, socket, dataplane, d->options.no_huge};
	struct api_err why = {0};
	int rc;

	snprintf(vhost_dir, sizeof(vhost_dir), "%s/vhost", copy ? dirname(copy) : "/run/sluice");
	free(copy);
	make_socket_dir(socket);
	rc = model_open(&config, &d->model, &why);
	json_decref(dataplane);
	return rc < 0 ? fail(why.text) : 0;
}

/* Before anything is made: one that comes meanwhile waits for the loop. */
static int listen_for_reload(struct daemon *d)
{
	d->reload = evsignal_new(d->base, SIGHUP, on_reload, d);
	return d->reload && evsignal_add(d->reload, NULL) == 0 ? 0 : fail("out of memory");
}

/* Prints why the start failed, unless it was only interrupted. */
static int start_failed(const char *where, const struct api_err *why)
{
	if (!ending_asked())
		fprintf(stderr, "sluiced: %s%s%s\n", where ? where : "", where ? ": " : "", why->text);
	return -1;
}

/* Nobody is served before there is a state, nor after it. */
static int wait_for_disk(void *arg, void (*fn)(void *fn_arg, int rc), void *fn_arg)
{
	return state_wait(((struct daemon *)arg)->state, fn, fn_arg);
}

static void forget_waiter(void *arg, void *fn_arg)
{
	state_forget(((struct daemon *)arg)->state, fn_arg);
}

static void on_again(void *arg)
{
	rpc_again(((struct daemon *)arg)->rpc);
}

/* The socket first, for it tells whether another daemon runs here. Who connects early waits for the loop. */
static int make_objects(struct daemon *d)
{
	const struct rpc_methods methods = {
		d->model, method_find, method_call, model_not_kept, {d, wait_for_disk, forget_waiter}};
	struct api_err why = {0};

	if (rpc_open(d->base, choose_socket(d), &methods, &d->rpc, &why) < 0)
		return start_failed(NULL, &why);
	model_on_again(d->model, MODEL_RPC, on_again, d);
	if (json_object_size(json_object_get(d->config, "cluster")))
		model_cluster_is_coming(d->model);
	if (json_array_size(json_object_get(json_object_get(d->config, "cluster"), "etcd"))) {
		d->global = global_open(d->base, d->model, d->options.state);
		if (!d->global)
			return fail("out of memory");
	}
	model_restoring(d->model, true);
	if (config_apply(d->model, d->config, &why) < 0)
		return start_failed(d->options.config, &why);
	if (state_open(d->base, d->options.state, d->model, &d->state, &why) < 0)
		return start_failed(NULL, &why);
	/* last: clients register for services, and find a table that is complete */
	if (serve_open(d->base, d->model, d->config, d->options.state, &d->serve, &why) < 0)
		return start_failed(NULL, &why);
	model_restoring(d->model, false);
	return ending_asked() ? -1 : 0; /* perhaps before all was restored: nobody is to be told the rest */
}

static int start(struct daemon *d)
{
	int rc;

	if (listen_for_reload(d) < 0 || start_model(d) < 0)
		return -1;
	rc = ending_by_loop(d->base, on_end, d, &d->ending);
	return rc < 0 ? fail(strerror(-rc)) : make_objects(d);
}

static void stop(struct daemon *d)
{
	if (d->model)
		model_on_again(d->model, MODEL_RPC, NULL, NULL);
	rpc_close(d->rpc);
	serve_close(d->serve);
	global_close(d->global);
	state_close(d->state);
	model_close(d->model);
	ending_free(d->ending);
	if (d->reload)
		event_free(d->reload);
	log_close();
	if (d->base)
		event_base_free(d->base);
	json_decref(d->config);
}

static int run(int argc, char **argv)
{
	struct daemon d = {.options = parse(argc, argv)};
	struct config_err err;
	struct api_err why = {0};
	int rc = -1;

	if (!d.options.check_only && !d.options.repair) /* one that is cut short has not succeeded */
		ending_at_once(dp_abandon);
	if (d.options.repair)
		return state_dir_repair(d.options.state) < 0 ? 1 : 0;
	if (config_load(d.options.config, !d.options.config_given, &d.config, &err) < 0) {
		fail(err.text);
		return 1;
	}
	if (check_host(&d, &why) < 0) {
		fprintf(stderr, "sluiced: %s: %s\n", d.options.config, why.text);
		json_decref(d.config);
		return 1;
	}
	if (d.options.check_only) {
		json_decref(d.config);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	d.base = event_base_new();
	if (d.base && log_open(d.base) == 0)
		rc = start(&d);
	if (rc == 0) {
		log_line(LOG_INFO, "sluiced %s is ready", SLUICE_VERSION);
		notify_systemd("READY=1");
		event_base_dispatch(d.base);
		notify_systemd("STOPPING=1");
	}
	stop(&d);
	return rc && !ending_asked() ? 1 : 0;
}

/* Everything but this file and cpu.c may use what the processor lacks. */
int main(int argc, char **argv)
{
	const char *lacks = cpu_lacks();

	if (!lacks)
		return run(argc, argv);
	fprintf(stderr,
		"sluiced: this processor has no %s, which this build needs: build with -Dcpu=x86-64-v2, or "
		"here\n",
		lacks);
	return 1;
}
