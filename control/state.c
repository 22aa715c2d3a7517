#include "control/state.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/log.h"
#include "control/methods.h"
#include "control/model.h"
#include "control/sections.h"

enum { STATE_VERSION = 1, STATE_PATH = 512 };

struct state {
	char path[STATE_PATH], dir[STATE_PATH];
	json_t *calls; /* [{method, params}] that hold now */
	json_t *aside; /* refused at the last start: kept for the next */
	struct event *timer;
	struct model *model;
};

/* --- the file
 * ------------------------------------------------------------------------------------------------ */

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

static void sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static void save(struct state *state)
{
	json_t *root = json_pack(
		"{s:i, s:O, s:O}", "version", STATE_VERSION, "calls", state->calls, "aside", state->aside);
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL, temp[STATE_PATH + 8];
	int rc = text ? 0 : -ENOMEM;

	snprintf(temp, sizeof(temp), "%s.new", state->path);
	if (!rc)
		rc = write_all(temp, text);
	if (!rc && rename(temp, state->path) < 0)
		rc = -errno;
	if (rc)
		log_line(LOG_ERR, "state: %s: %s; changes since then are lost with the daemon", state->path,
			strerror(-rc));
	else
		sync_dir(state->dir);
	free(text);
	json_decref(root);
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

/* --- recording
 * ------------------------------------------------------------------------------------------------ */

static const struct section *section_of_call(const char *method)
{
	return section_of(method, strcspn(method, "."));
}

static bool same_object(const struct section *section, const json_t *call, const char *id)
{
	const char *method = json_string_value(json_object_get(call, "method"));
	char other[SECTION_ID];

	if (!method || section_of_call(method) != section)
		return false;
	section_id(section, json_object_get(call, "params"), other);
	return strcmp(other, id) == 0;
}

/* Removes the calls about the object: all, or those of one method. */
static void forget(struct state *state, const struct section *section, const char *id, const char *method)
{
	for (size_t i = json_array_size(state->calls); i-- > 0;) {
		const json_t *call = json_array_get(state->calls, i);

		if (same_object(section, call, id) &&
			(!method || strcmp(method, json_string_value(json_object_get(call, "method"))) == 0))
			json_array_remove(state->calls, i);
	}
}

static json_t *find_add(struct state *state, const struct section *section, const char *id)
{
	size_t i;
	json_t *call;

	json_array_foreach (state->calls, i, call) {
		if (same_object(section, call, id) &&
			strstr(json_string_value(json_object_get(call, "method")), ".add"))
			return json_object_get(call, "params");
	}
	return NULL;
}

/* A service's or network's deletion takes along what refers to it. */
static void forget_dependents(struct state *state, const char *noun, const json_t *params)
{
	const char *name = json_string_value(json_object_get(params, "name"));

	for (size_t i = json_array_size(state->calls); name && i-- > 0;) {
		const char *of = json_string_value(
			json_object_get(json_object_get(json_array_get(state->calls, i), "params"), noun));

		if (of && strcmp(of, name) == 0)
			json_array_remove(state->calls, i);
	}
}

static void append(struct state *state, const char *method, const json_t *params)
{
	json_array_append_new(
		state->calls, json_pack("{s:s, s:o}", "method", method, "params", json_deep_copy(params)));
}

static void record(
	struct state *state, const struct section *section, const char *method, const json_t *params)
{
	const char *verb = strchr(method, '.') + 1;
	char id[SECTION_ID];
	json_t *made;

	section_id(section, params, id);
	made = find_add(state, section, id);
	if (strcmp(verb, "add") == 0) {
		append(state, method, params);
	} else if (strcmp(verb, "del") == 0) {
		forget(state, section, id, NULL);
		forget_dependents(state, section->noun, params);
	} else if (!made) {
		return; /* of another source: the change ends with the daemon */
	} else if (strcmp(verb, "set") == 0) {
		json_object_update(made, (json_t *)params);
	} else {
		forget(state, section, id, "backend.drain");
		if (strcmp(verb, "drain") == 0)
			append(state, method, params);
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

/* --- life
 * ----------------------------------------------------------------------------------------------------- */

static void replay(struct state *state, const json_t *calls)
{
	size_t i;
	json_t *call, *result;

	json_array_foreach ((json_t *)calls, i, call) {
		const char *name = json_string_value(json_object_get(call, "method"));
		const struct api_method *method = name ? method_find(name) : NULL;
		struct api_err why = {.text = "no such method"};

		if (method && section_of_call(name) &&
			method_call(state->model, method, "api", json_object_get(call, "params"), &result,
				&why) == 0) {
			json_decref(result);
			json_array_append(state->calls, call);
			continue;
		}
		log_line(LOG_WARNING, "state: %s was refused and is kept for the next start: %s",
			name ? name : "?", why.text);
		json_array_append(state->aside, call);
	}
}

static int prepare_dir(struct state *state, const char *dir, struct api_err *err)
{
	snprintf(state->dir, sizeof(state->dir), "%s", dir);
	if ((size_t)snprintf(state->path, sizeof(state->path), "%s/state.json", dir) >= sizeof(state->path)) {
		api_fail(err, API_INVALID, "state", "path too long");
		return -ENAMETOOLONG;
	}
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		api_fail(err, API_INTERNAL, "state", "%s: %s", dir, strerror(errno));
		return -errno;
	}
	return 0;
}

int state_open(struct event_base *base, const char *dir, struct model *model, struct state **out,
	struct api_err *err)
{
	struct state *state = calloc(1, sizeof(*state));
	json_t *root = NULL;
	int rc;

	if (!state)
		return -ENOMEM;
	state->model = model;
	state->calls = json_array();
	state->aside = json_array();
	state->timer = evtimer_new(base, on_timer, state);
	rc = prepare_dir(state, dir, err);
	if (!rc)
		rc = load(state, &root, err);
	if (rc < 0) {
		event_free(state->timer);
		json_decref(state->calls);
		json_decref(state->aside);
		free(state);
		return rc;
	}
	replay(state, json_object_get(root, "calls"));
	replay(state, json_object_get(root, "aside"));
	json_decref(root);
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
	event_free(state->timer);
	json_decref(state->calls);
	json_decref(state->aside);
	free(state);
}
