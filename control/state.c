#include "control/state.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/backend_run.h"
#include "control/ending.h"
#include "control/log.h"
#include "control/methods.h"
#include "control/model.h"
#include "control/sections.h"

enum { STATE_VERSION = 1, STATE_PATH = 512, RETRY_S = 1 };

struct state {
	char path[STATE_PATH];
	int dir;       /* locked: one daemon to a directory */
	json_t *calls; /* {method, params} that hold now, by key_of, those about one object in their order */
	json_t *aside; /* list of those refused at the last start: kept for the next */
	struct event *timer;
	struct model *model;
	bool failing; /* the last save did: said once */
};

static int write_all(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		return -errno;
	while (len && !rc) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			rc = -errno;
		else if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static json_t *calls_list(const json_t *calls)
{
	json_t *list = json_array(), *call;
	const char *key;

	json_object_foreach ((json_t *)calls, key, call)
		json_array_append(list, call);
	return list;
}

static int write_state(const struct state *state)
{
	json_t *root = json_pack("{s:i, s:o, s:O}", "version", STATE_VERSION, "calls",
		calls_list(state->calls), "aside", state->aside);
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL, temp[STATE_PATH + 8];
	int rc = text ? 0 : -ENOMEM;

	snprintf(temp, sizeof(temp), "%s.new", state->path);
	if (!rc)
		rc = write_all(temp, text);
	if (!rc && (rename(temp, state->path) < 0 || fsync(state->dir) < 0))
		rc = -errno;
	free(text);
	json_decref(root);
	return rc;
}

static void save(struct state *state)
{
	static const struct timeval again = {.tv_sec = RETRY_S};
	int rc = write_state(state);

	if (rc && !state->failing)
		log_line(LOG_ERR, "state: %s: %s; changes would be lost with the daemon", state->path,
			strerror(-rc));
	if (!rc && state->failing)
		log_line(LOG_NOTICE, "state: %s is written again", state->path);
	state->failing = rc != 0;
	if (rc)
		evtimer_add(state->timer, &again);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	save(arg);
}

/* 1 when there is a file, 0 when not, -errno. */
static int load(struct state *state, json_t **root, struct api_err *err)
{
	json_error_t why;

	*root = json_load_file(state->path, 0, &why);
	if (!*root && access(state->path, F_OK) < 0)
		return 0;
	if (!*root) {
		api_fail(err, API_INVALID, NULL, "%s:%d: %s", state->path, why.line, why.text);
		return -EINVAL;
	}
	if (json_integer_value(json_object_get(*root, "version")) != STATE_VERSION) {
		api_fail(err, API_UNSUPPORTED, NULL, "%s: of another version of the daemon", state->path);
		json_decref(*root);
		return -ENOTSUP;
	}
	return 1;
}

static const struct section *section_of_call(const char *method)
{
	return method ? section_of(method, strcspn(method, ".")) : NULL;
}

enum { KEY = SECTION_ID + 8 };

/* What a call is found by: the object that it makes, or that it drains. */
static void key_of(const struct section *section, const char *method, const json_t *params, char key[KEY])
{
	char id[SECTION_ID];

	section_id(section, params, id);
	snprintf(key, KEY, "%s%s", strcmp(method, "backend.drain") == 0 ? "drain " : "", id);
}

static void keep(struct state *state, const struct section *section, const char *method, const json_t *params)
{
	char key[KEY];

	key_of(section, method, params, key);
	json_object_set_new(state->calls, key,
		json_pack("{s:s, s:o}", "method", method, "params", json_deep_copy(params)));
}

static void forget(
	struct state *state, const struct section *section, const char *method, const json_t *params)
{
	char key[KEY];

	key_of(section, method, params, key);
	json_object_del(state->calls, key);
}

/* The object is there anew, or gone on purpose: an older one of its name must not come back. */
static void forget_aside(struct state *state, const struct section *section, const json_t *params)
{
	char id[SECTION_ID], other[SECTION_ID];

	section_id(section, params, id);
	for (size_t i = json_array_size(state->aside); i-- > 0;) {
		const json_t *call = json_array_get(state->aside, i);

		if (section_of_call(json_string_value(json_object_get(call, "method"))) != section)
			continue;
		section_id(section, json_object_get(call, "params"), other);
		if (strcmp(id, other) == 0)
			json_array_remove(state->aside, i);
	}
}

/* A service's deletion takes its backends along. */
static void forget_backends(struct state *state, const char *service)
{
	json_t *call;
	const char *key;
	void *next;

	json_object_foreach_safe(state->calls, next, key, call)
	{
		const char *of =
			json_string_value(json_object_get(json_object_get(call, "params"), "service"));

		if (of && strcmp(of, service) == 0)
			json_object_del(state->calls, key);
	}
}

/* The parameters of the call that made the object, NULL when the API did not. */
static json_t *made_by(struct state *state, const struct section *section, const json_t *params)
{
	char id[SECTION_ID];

	section_id(section, params, id);
	return json_object_get(json_object_get(state->calls, id), "params");
}

static void record(
	struct state *state, const struct section *section, const char *method, const json_t *params)
{
	const char *verb = strchr(method, '.') + 1;
	json_t *made = made_by(state, section, params);

	if (strcmp(verb, "add") == 0) {
		forget_aside(state, section, params);
		keep(state, section, method, params);
	} else if (strcmp(verb, "del") == 0) {
		forget_aside(state, section, params);
		forget(state, section, method, params);
		forget(state, section, "backend.drain", params);
		if (strcmp(section->noun, "service") == 0)
			forget_backends(state, json_string_value(json_object_get(params, "name")));
	} else if (!made) {
		return; /* of another source: the change ends with the daemon */
	} else if (strcmp(verb, "set") == 0) {
		json_object_update(made, (json_t *)params);
	} else if (strcmp(verb, "drain") == 0) {
		keep(state, section, method, params);
	} else {
		forget(state, section, "backend.drain", params);
	}
}

static void on_change(void *arg, const char *method, const char *source, const json_t *params)
{
	static const struct timeval delay = {.tv_usec = STATE_DELAY_MS * 1000};
	struct state *state = arg;
	const struct section *section = section_of_call(method);
	bool removes = strstr(method, ".del") != NULL;

	if (!section || (strcmp(source, "api") != 0 && !removes))
		return;
	record(state, section, method, params);
	if (!evtimer_pending(state->timer, NULL))
		evtimer_add(state->timer, &delay);
}

static bool replay_call(
	struct state *state, const struct section *section, const json_t *call, struct api_err *why)
{
	const char *name = json_string_value(json_object_get(call, "method"));
	const struct api_method *method = section ? method_find(name) : NULL;
	const json_t *params = json_object_get(call, "params");
	json_t *result;

	api_fail(why, API_UNSUPPORTED, NULL, "no such method");
	if (!method || method_call(state->model, method, "api", params, &result, why) < 0)
		return false;
	json_decref(result);
	keep(state, section, name, params);
	return true;
}

/* The calls about objects of one section (NULL: about nothing known), in their order. */
static void replay_section(struct state *state, const struct section *section, const json_t *calls)
{
	struct backend_run run = {state->model, false};
	struct api_err why;
	json_t *call;
	size_t i;

	backend_run_next(&run, section ? section->noun : "");
	json_array_foreach ((json_t *)calls, i, call) {
		const char *name = json_string_value(json_object_get(call, "method"));

		if (ending_asked())
			break;
		if (section_of_call(name) != section || replay_call(state, section, call, &why))
			continue;
		log_about(LOG_WARNING, why.text, "state: %s was refused and is kept for the next start: %s",
			name ? name : "?", why.text);
		json_array_append(state->aside, call);
	}
	backend_run_end(&run);
}

/* By section, for a service may have been moved to a network that was made after it. */
static void replay(struct state *state, const json_t *calls)
{
	for (size_t i = 0; i < sections_count; i++)
		replay_section(state, &sections[i], calls);
	replay_section(state, NULL, calls);
}

static int open_dir(struct state *state, const char *dir, struct api_err *err)
{
	int rc = 0;

	if ((size_t)snprintf(state->path, sizeof(state->path), "%s/state.json", dir) >= sizeof(state->path)) {
		api_fail(err, API_INVALID, "state", "path too long");
		return -ENAMETOOLONG;
	}
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (!rc)
		state->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!rc && (state->dir < 0 || flock(state->dir, LOCK_EX | LOCK_NB) < 0))
		rc = -errno;
	if (rc)
		api_fail(err, API_INTERNAL, "state", "%s: %s", dir,
			rc == -EWOULDBLOCK ? "another sluiced uses it" : strerror(-rc));
	return rc;
}

static void state_free(struct state *state)
{
	if (state->timer)
		event_free(state->timer);
	if (state->dir >= 0)
		close(state->dir);
	json_decref(state->calls);
	json_decref(state->aside);
	free(state);
}

int state_open(struct event_base *base, const char *dir, struct model *model, struct state **out,
	struct api_err *err)
{
	struct state *state = calloc(1, sizeof(*state));
	json_t *root = NULL;
	int rc;

	api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (!state)
		return -ENOMEM;
	*state = (struct state){.dir = -1, .model = model, .calls = json_object(), .aside = json_array()};
	state->timer = evtimer_new(base, on_timer, state);
	rc = state->timer && state->calls && state->aside ? open_dir(state, dir, err) : -ENOMEM;
	if (!rc)
		rc = load(state, &root, err);
	if (rc < 0) {
		state_free(state);
		return rc;
	}
	replay(state, json_object_get(root, "calls"));
	replay(state, json_object_get(root, "aside"));
	json_decref(root);
	if (ending_asked()) { /* perhaps before all was made: the file stays as it is */
		state_free(state);
		return -EINTR;
	}
	model_on_change(model, on_change, state);
	*out = state;
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	model_on_change(state->model, NULL, NULL);
	if (evtimer_pending(state->timer, NULL))
		save(state);
	state_free(state);
}
