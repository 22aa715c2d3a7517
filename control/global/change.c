/*
 * change.c: what the API changes of a global object. It is done here first, so that whatever this host finds wrong is said
 * and nothing has happened; then in the store, by one transaction that compares the object's revision, and that of `at`, which
 * each change puts. When the store says no, this host brings the object back to what counts.
 *
 * A change that another host made of the same object meanwhile is a conflict. One of something else is heard of, and the
 * change is looked at again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/global/inside.h"
#include "registry/base/uuid.h"
#include "registry/base/wheel.h"

enum { KEY = 256, TRIES = 10, PATIENCE_MS = 15000, FOLDER = 16 };

enum verb { ADD, SET, DEL };

struct global_job {
	TAILQ_ENTRY(global_job) link;
	struct global *global;
	char *call; /* the request that it is for */
	struct global_object *object;
	enum verb verb;
	json_t *definition; /* what it is to be; NULL: nothing */
	int64_t planned;    /* the object's revision that it was planned with */
	int64_t since_ms;
	struct etcd_op *op;
	struct global_users users; /* of a network that is to go */
	unsigned tries;
	int64_t revision; /* it was made then; 0: not yet */
	int64_t told;	  /* it was not: `at` had this revision */
	bool again;	  /* and it is to be sent again */
	bool done;
	int rc;
	json_t *result;
	struct api_err err;
};

static int64_t now_ms(void)
{
	return (int64_t)(wheel_now_us() / 1000);
}

static void job_free(struct global *global, struct global_job *job)
{
	TAILQ_REMOVE(&global->jobs, job, link);
	etcd_cancel(job->op);
	free(job->call);
	json_decref(job->definition);
	json_decref(job->result);
	free(job);
}

/* Whoever asked takes the answer now, or has gone. */
static void hand_over(struct global *global)
{
	struct global_job *job, *next;

	model_again(global->model);
	for (job = TAILQ_FIRST(&global->jobs); job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->done)
			job_free(global, job);
	}
}

static void job_end(struct global *global, struct global_job *job, int rc)
{
	etcd_cancel(job->op);
	job->op = NULL;
	job->done = true;
	job->rc = rc;
	job->object->busy = false;
	if (rc == 0 && json_object_get(job->result, "revision") && job->definition)
		json_object_set_new(job->result, "revision", json_integer(job->object->mod));
	global_touch(global, job->object); /* to what the store has */
	job->object = NULL;
}

static const char *noun_of(const struct global_object *object)
{
	return global_kinds[object->kind].noun;
}

/* Another network has the VNI, be it in effect here or not. */
static int check_vni(struct global *global, const struct global_job *job, struct api_err *err)
{
	int64_t vni = param_int(job->definition, "vni", 0);
	struct global_object *other, *next;
	char why[GLOBAL_WHY];

	HASH_ITER(hh, global->objects, other, next)
	{
		const char *value = global_wanted(other);
		json_t *definition;
		bool same;

		if (other == job->object || other->kind != GLOBAL_NETWORKS || !value)
			continue;
		definition = global_read(other, value, why);
		same = definition && param_int(definition, "vni", 0) == vni;
		json_decref(definition);
		if (same)
			return api_fail(err, API_EXISTS, "vni", "%lld is taken by network %s", (long long)vni,
				other->name);
	}
	return 0;
}

/* No service is in the network. Ports are asked for when it is sent. */
static int check_network_unused(
	struct global *global, const struct global_object *network, struct api_err *err)
{
	struct global_object *other, *next;
	char why[GLOBAL_WHY];

	HASH_ITER(hh, global->objects, other, next)
	{
		const char *value = global_wanted(other), *name;
		json_t *definition =
			value && other->kind == GLOBAL_SERVICES ? global_read(other, value, why) : NULL;
		bool uses;

		name = param_str(definition, "network");
		uses = name && !strcmp(name, network->name);
		json_decref(definition);
		if (uses)
			return api_fail(err, API_IN_USE, "name", "network %s has service %s", network->name,
				other->name);
	}
	return 0;
}

/* Is it possible, as the store is now? */
static int check(struct global *global, const struct global_job *job, struct api_err *err)
{
	const struct global_object *object = job->object;

	if (job->verb == ADD && object->kind == GLOBAL_NETWORKS && check_vni(global, job, err) < 0)
		return -1;
	if (job->verb == DEL && object->kind == GLOBAL_NETWORKS)
		return check_network_unused(global, object, err);
	return 0;
}

static void job_send(struct global *global, struct global_job *job);

/* Another host has changed something. Was it this? */
static void plan_again(struct global *global, struct global_job *job)
{
	const struct global_object *object = job->object;
	char by[MODEL_NAME] = "";

	job->again = false;
	if (object->mod != job->planned) {
		if (object->stored)
			global_read_by(object->stored, by);
		api_fail(&job->err, API_CONFLICT, "name",
			"%s %s was %s by %s%s at the same time: look at it again", noun_of(object),
			object->name, object->stored ? "changed" : "deleted",
			by[0] ? "host " : "another host", by);
		job_end(global, job, -1);
	} else if (global->lacks) {
		api_fail(&job->err, API_INTERNAL, NULL,
			"etcd has forgotten global objects, which are put again");
		job_end(global, job, -1);
	} else if (check(global, job, &job->err) < 0) {
		job_end(global, job, -1);
	} else if (++job->tries == TRIES) {
		api_fail(&job->err, API_CONFLICT, NULL,
			"other hosts change so much that it cannot be done now");
		job_end(global, job, -1);
	} else {
		job_send(global, job);
	}
}

void global_jobs_look(struct global *global)
{
	struct global_job *job, *next;
	bool ended = false;

	for (job = TAILQ_FIRST(&global->jobs); job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (!job->done && job->revision && global->revision >= job->revision)
			job_end(global, job, 0);
		else if (!job->done && job->again && global->at.mod >= job->told &&
			 etcd_follow_is_there(global->follow))
			plan_again(global, job);
		ended = ended || job->done;
	}
	if (ended)
		hand_over(global);
}

static void on_no_answer(struct global_job *job, const struct etcd_answer *answer)
{
	struct global *global = job->global;

	api_fail(&job->err, API_INTERNAL, NULL,
		answer->refused ? "etcd refused it: %s"
				: "etcd did not answer (%s): `cluster dump` shows whether it was done",
		answer->why);
	job_end(global, job, -1);
	hand_over(global);
}

static void on_sent(void *arg, const struct etcd_answer *answer, bool took)
{
	struct global_job *job = arg;
	struct global *global = job->global;

	job->op = NULL;
	if (answer->why) {
		on_no_answer(job, answer);
		return;
	}
	if (took) {
		job->revision = answer->revision;
	} else {
		job->again = true;
		job->told = answer->told;
	}
	global_jobs_look(global);
}

static void put_in_store(struct global *global, struct global_job *job)
{
	char key[KEY], at[KEY];
	const struct etcd_compare compares[] = {{key, job->planned}, {at, global->at.mod}};
	struct etcd_change changes[] = {{.key = key}, {.key = at}};
	const struct etcd_txn txn = {
		.compares = compares, .ncompare = 2, .changes = changes, .nchange = 2, .tell = at};
	uint64_t n = global->at.there ? global->at.n : global->n;
	char *value = job->definition ? global_value(global, job->definition) : NULL, *count;

	snprintf(key, sizeof(key), "%s%s", global->prefix, job->object->key);
	snprintf(at, sizeof(at), "%sat", global->prefix);
	if (!global->id[0] && uuid_make(global->id) < 0)
		global->id[0] = '\0';
	count = global_at_value(global->id, n + 1, global->host);
	changes[0].value = value;
	changes[1].value = count;
	if (count && global->id[0] && (value || !job->definition))
		job->op = etcd_txn(global->etcd, &txn, on_sent, job);
	free(value);
	free(count);
	if (job->op)
		return;
	api_fail(&job->err, API_INTERNAL, NULL, "out of memory");
	job_end(global, job, -1);
}

static void on_users(void *arg, const struct etcd_answer *answer, const char *who)
{
	struct global_job *job = arg;
	struct global *global = job->global;

	job->op = NULL;
	if (answer->why) {
		on_no_answer(job, answer);
		return;
	}
	if (!who[0]) {
		put_in_store(global, job);
		if (job->done)
			hand_over(global);
		return;
	}
	api_fail(&job->err, API_IN_USE, "name", "network %s has ports on host %s", job->object->name, who);
	job_end(global, job, -1);
	hand_over(global);
}

/* A network goes only if no other host has ports in it. */
static void job_send(struct global *global, struct global_job *job)
{
	if (job->verb != DEL || job->object->kind != GLOBAL_NETWORKS) {
		put_in_store(global, job);
		return;
	}
	job->users = (struct global_users){.global = global, .done = on_users, .arg = job};
	job->op = global_find_users(&job->users, job->object->name);
	if (job->op)
		return;
	api_fail(&job->err, API_INTERNAL, NULL, "out of memory");
	job_end(global, job, -1);
}

/* The object's definition with these fields over it. */
static json_t *merge(const struct global_object *object, const json_t *params)
{
	char why[GLOBAL_WHY];
	const char *wanted = global_wanted(object);
	json_t *definition = wanted ? global_read(object, wanted, why) : NULL, *merged;

	merged = definition ? json_deep_copy(definition) : NULL;
	json_decref(definition);
	if (!merged)
		return NULL;
	if (param_given(params, "vip"))
		json_object_del(merged, "vips");
	if (param_given(params, "vips"))
		json_object_del(merged, "vip");
	json_object_update(merged, (json_t *)params);
	return merged;
}

/* Can changes be made at all now? */
static int check_store(const struct global *global, struct api_err *err)
{
	unsigned n = 0;
	const struct global_job *job;

	if (!global->follow || !etcd_follow_is_there(global->follow))
		return api_fail(err, API_INTERNAL, NULL,
			"etcd is away (%s): global objects stay as they are until it is back",
			global->why[0] ? global->why : "it is being read");
	if (global->at.later)
		return api_fail(err, API_UNSUPPORTED, NULL,
			"a host of a later version has changed global objects: upgrade this one first");
	if (global->lacks || (global->at.there && global->at.why))
		return api_fail(err, API_INTERNAL, NULL,
			"etcd has forgotten global objects, which are put again: try again");
	TAILQ_FOREACH (job, &global->jobs, link)
		n++;
	return n < GLOBAL_JOBS ? 0
			       : api_fail(err, API_INTERNAL, NULL,
					 "%d changes of global objects wait for etcd already", GLOBAL_JOBS);
}

/* The object that the call is about, as it is known, and what it is to be. */
static int read_call(struct global *global, struct global_job *job, const char *method, const json_t *params,
	struct api_err *err)
{
	const char *verb = strchr(method, '.') + 1, *name = param_str(params, "name");
	char key[GLOBAL_KEY], why[GLOBAL_WHY];
	unsigned kind = 0;
	json_t *known;

	while (strncmp(global_kinds[kind].noun, method, (size_t)(verb - method - 1)) != 0)
		kind++;
	snprintf(key, sizeof(key), "%s/%.63s", global_kinds[kind].folder, name);
	job->verb = strcmp(verb, "add") == 0 ? ADD : strcmp(verb, "set") == 0 ? SET : DEL;
	job->object = global_find(global, key);
	if (job->verb != ADD && (!job->object || !global_wanted(job->object)))
		return api_fail(
			err, API_NOT_FOUND, "name", "no global %s \"%s\"", global_kinds[kind].noun, name);
	if (job->verb == ADD && job->object && (global_wanted(job->object) || job->object->made))
		return api_fail(err, API_EXISTS, "name", "there is a global %s \"%s\" already",
			global_kinds[kind].noun, name);
	if (job->object && job->object->busy)
		return api_fail(err, API_CONFLICT, "name", "%s %s is being changed already",
			global_kinds[kind].noun, name);
	if (job->object && global_wanted(job->object)) {
		known = global_read(job->object, global_wanted(job->object), why);
		json_decref(known);
		if (!known && strstr(why, "later version"))
			return api_fail(err, API_UNSUPPORTED, "name",
				"%s %s is of a later version: upgrade this host first",
				global_kinds[kind].noun, name);
	}
	if (job->verb == ADD)
		job->definition = json_deep_copy(params);
	else if (job->verb == SET)
		job->definition = merge(job->object, params);
	if (job->verb != DEL && !job->definition)
		return api_fail(err, API_INVALID, "name", "the store's value of %s %s is not understood: %s",
			global_kinds[kind].noun, name, why);
	if (job->verb == ADD && kind == GLOBAL_NETWORKS && strcmp(param_str(params, "mode"), "overlay") != 0)
		return api_fail(err, API_INVALID, "mode",
			"a global network is of mode overlay: the others are each host's own");
	if (!job->object)
		job->object = global_find_or_make(global, key);
	return job->object ? 0
			   : api_fail(err, API_INTERNAL, NULL,
				     "no room for more than %u global objects of this kind",
				     global_kinds[kind].most);
}

/* Done here; 0, or as it was. */
static int begin(struct global *global, struct global_job *job, const char *method, const json_t *params,
	struct api_err *err)
{
	struct global_object *object;

	if (check_store(global, err) < 0 || read_call(global, job, method, params, err) < 0)
		return -1;
	object = job->object;
	job->planned = object->mod;
	if (check(global, job, err) < 0)
		return -1;
	if (job->verb == SET && !object->made)
		return api_fail(err, API_UNSUPPORTED, "name", "%s %s is not in effect on this host: %s",
			noun_of(object), object->name, object->why);
	return global_bring(global, object, job->definition, &job->result, err);
}

static struct global_job *find_job(struct global *global, const char *call)
{
	struct global_job *job;

	TAILQ_FOREACH (job, &global->jobs, link)
		if (strcmp(job->call, call) == 0)
			return job;
	return NULL;
}

static int take_answer(struct global *global, struct global_job *job, json_t **result, struct api_err *err)
{
	int rc = job->rc;

	if (!job->done)
		return api_fail(err, API_AGAIN, NULL, "the store is asked");
	*err = job->err;
	if (rc == 0)
		*result = json_incref(job->result);
	job_free(global, job);
	return rc;
}

static char *call_text(const char *method, const json_t *params)
{
	char *text = global_text(params), *call = NULL;

	if (text && asprintf(&call, "%s %s", method, text) < 0)
		call = NULL;
	free(text);
	return call;
}

bool global_changes(void *arg, const char *method, const json_t *params)
{
	char *call = call_text(method, params);
	bool found = call && find_job(arg, call);

	free(call);
	return found;
}

int global_change(void *arg, const char *method, const json_t *params, json_t **result, struct api_err *err)
{
	struct global *global = arg;
	char *call = call_text(method, params);
	struct global_job *job = call ? find_job(global, call) : NULL;
	struct global_object *object;

	if (job) {
		free(call);
		return take_answer(global, job, result, err);
	}
	job = call ? calloc(1, sizeof(*job)) : NULL;
	if (!job) {
		free(call);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	job->global = global;
	job->call = call;
	job->since_ms = now_ms();
	TAILQ_INSERT_TAIL(&global->jobs, job, link);
	if (begin(global, job, method, params, err) < 0) {
		object = job->object;
		job_free(global, job);
		if (object)
			global_drop_if_empty(global, object);
		return -1;
	}
	job->object->busy = true;
	job_send(global, job);
	return take_answer(global, job, result, err);
}

void global_jobs_tick(struct global *global)
{
	struct global_job *job;
	bool ended = false;

	TAILQ_FOREACH (job, &global->jobs, link) {
		if (job->done || now_ms() - job->since_ms < PATIENCE_MS)
			continue;
		api_fail(&job->err, API_INTERNAL, NULL,
			"etcd does not answer: `cluster dump` shows whether it was done");
		job_end(global, job, -1);
		ended = true;
	}
	if (ended)
		hand_over(global);
	else if (global->follow)
		global_jobs_look(global);
}

/* Nobody is told any more. */
void global_jobs_end(struct global *global)
{
	struct global_job *job;

	while ((job = TAILQ_FIRST(&global->jobs)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the list no more */
		job_free(global, job);
}
