#include "control/config/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/base/ending.h"
#include "control/base/log.h"
#include "control/config/sections.h"
#include "control/methods/list.h"
#include "control/model/backend_run.h"
#include "control/model/model.h"
#include "control/model/scope.h"
#include "control/model/state_dir.h"
#include "registry/registry.h"
#include "registry/store/journal.h"

enum { STATE_PATH = 512 };

/* Before the key of a call that was refused at the last start. */
#define ASIDE "aside "

enum { KEY = SECTION_ID + 16 };

struct state {
	int dir;       /* locked: one daemon to a directory */
	json_t *calls; /* {method, params} that hold now, by key_of, those about one object in their order */
	struct journal *journal; /* the same, those refused under ASIDE and their key */
	struct model *model;
};

static const struct section *section_of_call(const char *method)
{
	return method ? section_of(method, strcspn(method, ".")) : NULL;
}

/* What a call is found by: the object that it makes, or that it drains. */
static void key_of(const struct section *section, const char *method, const json_t *params, char key[KEY])
{
	char id[SECTION_ID];

	section_id(section, params, id);
	snprintf(key, KEY, "%s%s", strcmp(method, "backend.drain") == 0 ? "drain " : "", id);
}

/* In the journal, as text. */
static void write_call(struct state *state, const char *prefix, const char *key, const json_t *call)
{
	char *text = json_dumps(call, JSON_COMPACT), whole[KEY + sizeof(ASIDE)];

	snprintf(whole, sizeof(whole), "%s%s", prefix, key);
	if (text)
		journal_put(state->journal, whole, text);
	free(text);
}

static void keep_call(struct state *state, const char *key, json_t *call)
{
	json_object_set_new(state->calls, key, call);
	write_call(state, "", key, call);
}

static void keep(struct state *state, const struct section *section, const char *method, const char *source,
	const json_t *params)
{
	json_t *call = json_pack("{s:s, s:o}", "method", method, "params", json_deep_copy(params));
	char key[KEY];

	if (strcmp(source, "api") != 0)
		json_object_set_new(call, "source", json_string(source));
	key_of(section, method, params, key);
	keep_call(state, key, call);
}

/* `key` may be the object's own, which goes with its entry. */
static void forget_key(struct state *state, const char *key)
{
	journal_put(state->journal, key, NULL);
	json_object_del(state->calls, key);
}

static void forget(
	struct state *state, const struct section *section, const char *method, const json_t *params)
{
	char key[KEY];

	key_of(section, method, params, key);
	forget_key(state, key);
}

static void forget_refused(struct state *state, const char *key)
{
	char whole[KEY + sizeof(ASIDE)];

	snprintf(whole, sizeof(whole), ASIDE "%s", key);
	journal_put(state->journal, whole, NULL);
}

/* The object is there anew, or gone on purpose: an older one of its name must not come back. */
static void forget_aside(struct state *state, const struct section *section, const json_t *params)
{
	char key[KEY];

	key_of(section, "", params, key);
	forget_refused(state, key);
	key_of(section, "backend.drain", params, key);
	forget_refused(state, key);
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
			forget_key(state, key);
	}
}

/* The call that made the object, NULL when the API did not. */
static json_t *made_by(struct state *state, const struct section *section, const json_t *params)
{
	char id[SECTION_ID];

	section_id(section, params, id);
	return json_object_get(state->calls, id);
}

static void change(struct state *state, const struct section *section, json_t *made, const json_t *params)
{
	char id[SECTION_ID];

	section_id(section, params, id);
	json_object_update(json_object_get(made, "params"), (json_t *)params);
	write_call(state, "", id, made);
}

/* Others make the same again at the next start, if it is still to be there. */
static bool is_kept(const char *source)
{
	static const char *const others[] = {"config", "cluster", "global", "kubernetes"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(source, others[i]) == 0)
			return false;
	return true;
}

static void record(struct state *state, const struct section *section, const char *method, const char *source,
	const json_t *params)
{
	const char *verb = strchr(method, '.') + 1;
	json_t *made = made_by(state, section, params);

	if (strcmp(verb, "add") == 0) {
		forget_aside(state, section, params);
		keep(state, section, method, source, params);
	} else if (strcmp(verb, "del") == 0) {
		forget_aside(state, section, params);
		forget(state, section, method, params);
		forget(state, section, "backend.drain", params);
		if (strcmp(section->noun, "service") == 0)
			forget_backends(state, json_string_value(json_object_get(params, "name")));
	} else if (!made) {
		return; /* of another source: the change ends with the daemon */
	} else if (strcmp(verb, "set") == 0) {
		change(state, section, made, params);
	} else if (strcmp(verb, "drain") == 0) {
		keep(state, section, method, source, params);
	} else {
		forget(state, section, "backend.drain", params);
	}
}

static void on_change(void *arg, const char *method, const char *source, const json_t *params)
{
	struct state *state = arg;
	const struct section *section = section_of_call(method);
	bool removes = strstr(method, ".del") != NULL;

	if (!section || (!is_kept(source) && !removes))
		return;
	record(state, section, method, source, params);
}

static const char *source_of(const json_t *call)
{
	const char *source = json_string_value(json_object_get(call, "source"));

	return source ? source : "api";
}

static bool replay_call(
	struct state *state, const struct section *section, const json_t *call, struct api_err *why)
{
	const char *name = json_string_value(json_object_get(call, "method"));
	const char *source = source_of(call);
	const struct api_method *method = section ? method_find(name) : NULL;
	const json_t *params = json_object_get(call, "params");
	json_t *result;

	api_fail(why, API_UNSUPPORTED, NULL, "no such method");
	if (!method || method_call(state->model, method, source, params, &result, why) < 0)
		return false;
	json_decref(result);
	keep(state, section, name, source, params);
	return true;
}

static void keep_for_next(struct state *state, const char *key, json_t *call, const char *why)
{
	const char *name = json_string_value(json_object_get(call, "method"));

	log_line(LOG_WARNING, "state: %s was refused and is kept for the next start: %s", name ? name : "?",
		why);
	write_call(state, ASIDE, key, call);
}

/* The calls about objects of one section (NULL: about nothing known), in their order. */
static void replay_section(struct state *state, const struct section *section, const json_t *calls)
{
	struct backend_run run = {state->model, false};
	struct api_err why;
	const char *key;
	json_t *call;

	backend_run_next(&run, section ? section->noun : "");
	json_object_foreach ((json_t *)calls, key, call) {
		if (ending_asked())
			break;
		if (section_of_call(json_string_value(json_object_get(call, "method"))) != section)
			continue;
		if (!is_kept(source_of(call))) { /* of an earlier version */
			journal_put(state->journal, key, NULL);
			forget_refused(state, key);
			continue;
		}
		if (replay_call(state, section, call, &why)) {
			forget_refused(state, key);
			continue;
		}
		if (ending_asked()) /* which may be why it was refused */
			break;
		journal_put(state->journal, key, NULL);
		keep_for_next(state, key, call, why.text);
	}
	backend_run_end(&run);
}

/*
 * By section and not in the order of the calls: a service may have been moved to a network that was made
 * after it.
 */
static void replay(struct state *state, const json_t *calls)
{
	model_replaying(state->model, true);
	for (size_t i = 0; i < sections_count; i++) {
		replay_section(state, &sections[i], calls);
		scope_made(state->model, sections[i].noun);
	}
	replay_section(state, NULL, calls);
	model_replaying(state->model, false);
}

/* What the journal holds, before any of it is done again. */
struct restored {
	json_t *calls, *aside;
};

static void restore(void *arg, const char *key, const char *value)
{
	struct restored *restored = arg;
	size_t prefix = strncmp(key, ASIDE, strlen(ASIDE)) == 0 ? strlen(ASIDE) : 0;
	json_t *call = json_loads(value, 0, NULL);

	if (call)
		json_object_set_new(prefix ? restored->aside : restored->calls, key + prefix, call);
	else
		log_line(LOG_WARNING, "state: %s is not readable", key);
}

static int read_all(struct state *state)
{
	struct restored restored = {json_object(), json_object()};
	int rc = restored.calls && restored.aside ? 0 : -ENOMEM;

	if (!rc) {
		journal_restore(state->journal, restore, &restored);
		replay(state, restored.calls);
		replay(state, restored.aside);
	}
	json_decref(restored.calls);
	json_decref(restored.aside);
	return rc;
}

/* Earlier versions kept everything in one JSON document. */
static int refuse_old(const char *dir, struct api_err *err)
{
	char path[STATE_PATH];
	int rc = state_dir_path(dir, "state.json", path, sizeof(path), err);

	if (!rc && access(path, F_OK) == 0) {
		api_fail(err, API_UNSUPPORTED, NULL,
			"%s: is of an older version, which is not read: remove it", path);
		rc = -ENOTSUP;
	}
	return rc;
}

static int open_journal(struct state *state, struct event_base *base, const char *dir, struct api_err *err)
{
	struct reg_err why;
	char path[STATE_PATH];
	int rc = refuse_old(dir, err);

	if (!rc)
		rc = state_dir_path(dir, STATE_DIR_OBJECTS, path, sizeof(path), err);
	if (rc)
		return rc;
	rc = journal_open(base, path, model_registry(state->model), &state->journal, &why);
	if (rc)
		api_fail(err, API_INTERNAL, NULL, "%s", why.text);
	return rc;
}

static void state_free(struct state *state)
{
	journal_close(state->journal);
	if (state->dir >= 0)
		close(state->dir);
	json_decref(state->calls);
	free(state);
}

int state_open(struct event_base *base, const char *dir, struct model *model, struct state **out,
	struct api_err *err)
{
	struct state *state = calloc(1, sizeof(*state));
	int rc = 0;

	api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (!state)
		return -ENOMEM;
	*state = (struct state){.dir = -1, .model = model, .calls = json_object()};
	if (!state->calls)
		rc = -ENOMEM;
	if (!rc)
		rc = state->dir = state_dir_open(dir, true, err);
	if (rc >= 0)
		rc = open_journal(state, base, dir, err);
	if (!rc)
		rc = scope_open(model, err);
	if (!rc)
		rc = read_all(state);
	if (rc < 0) {
		state_free(state);
		return rc;
	}
	if (ending_asked()) { /* perhaps before all was made */
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
	state_free(state);
}

int state_wait(struct state *state, void (*fn)(void *arg, int rc), void *arg)
{
	return journal_wait(state->journal, fn, arg) < 0 ? -1 : 0;
}

void state_forget(struct state *state, void *arg)
{
	journal_forget(state->journal, arg);
}
