#include "registry/etcd/etcd.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/chance.h"
#include "registry/base/text.h"
#include "registry/etcd/inside.h"

enum { BEGIN_S = 5 }; /* until a watch has begun */

struct etcd *etcd_open(const struct etcd_config *config)
{
	struct etcd *etcd = calloc(1, sizeof(*etcd));
	bool whole;

	if (!etcd)
		return NULL;
	TAILQ_INIT(&etcd->ops);
	etcd->base = config->base;
	etcd->fetcher = fetch_open_web(config->base, &config->tls);
	whole = etcd->fetcher && text_copy(&etcd->user, config->user) &&
		text_copy(&etcd->password, config->password ? config->password : "");
	for (size_t i = 0; i < config->nmembers && i < ETCD_MEMBERS && whole; i++)
		whole = text_copy(&etcd->member[etcd->nmembers++].url, config->members[i]);
	if (!whole || !etcd->nmembers) {
		etcd_close(etcd);
		return NULL;
	}
	/* hosts that start together begin with different members */
	etcd->current = chance_between(0, (unsigned)etcd->nmembers - 1);
	return etcd;
}

void etcd_cancel(struct etcd_op *op)
{
	if (!op)
		return;
	if (op->is_auth)
		op->etcd->authenticating = false;
	TAILQ_REMOVE(&op->etcd->ops, op, link);
	fetch_cancel(op->fetch);
	if (op->limit)
		event_free(op->limit);
	json_decref(op->at);
	free(op->body);
	free(op->end);
	free(op);
}

void etcd_close(struct etcd *etcd)
{
	struct etcd_op *op, *next;

	if (!etcd)
		return;
	for (op = TAILQ_FIRST(&etcd->ops); op; op = next) {
		next = TAILQ_NEXT(op, link);
		etcd_cancel(op);
	}
	fetch_close(etcd->fetcher);
	for (size_t i = 0; i < etcd->nmembers; i++)
		free(etcd->member[i].url);
	free(etcd->user);
	free(etcd->password);
	free(etcd->token);
	free(etcd);
}

bool etcd_member(const struct etcd *etcd, size_t index, struct etcd_member *out)
{
	if (index >= etcd->nmembers)
		return false;
	*out = (struct etcd_member){
		.url = etcd->member[index].url,
		.state = etcd->member[index].state,
		.current = index == etcd->current,
		.why = etcd->member[index].state == ETCD_DOWN ? etcd->member[index].why : "",
	};
	return true;
}

/* The first watch that asks this member; NULL: none. */
static struct etcd_op *watch_of(struct etcd *etcd, size_t member)
{
	struct etcd_op *op;

	TAILQ_FOREACH (op, &etcd->ops, link)
		if (op->line && op->fetch && op->member == member)
			return op;
	return NULL;
}

void etcd_member_failed(struct etcd *etcd, size_t member, const char *why)
{
	struct etcd_op *op;

	etcd->member[member].state = ETCD_DOWN;
	snprintf(etcd->member[member].why, sizeof(etcd->member[member].why), "%s", why);
	if (etcd->current == member)
		etcd->current = (member + 1) % etcd->nmembers;
	while ((op = watch_of(etcd, member))) {
		const struct etcd_answer answer = {.why = "its member failed"};

		fetch_cancel(op->fetch);
		op->fetch = NULL;
		op->done(op, NULL, &answer);
	}
}

/* What etcd says is wrong, or what HTTP does. */
static const char *error_of(const json_t *json, long code, char text[160])
{
	const json_t *error = json_object_get(json, "error");
	const char *line = json_string_value(error);

	if (!line)
		line = json_string_value(json_object_get(json_is_object(error) ? error : json, "message"));
	if (line)
		snprintf(text, 160, "%s", line);
	else
		snprintf(text, 160, "HTTP status %ld", code);
	return text;
}

/* Of the gateway: 5xx is what another member may do better, the others are of the question. */
static bool is_members_fault(long code)
{
	return code == 0 || code >= 500 || code == 408;
}

/* The token is of no use: once more with another one. */
static bool try_token_again(struct etcd_op *op, long code, const char *why)
{
	if (!op->etcd->user || op->tried || op->is_auth || !etcd_auth_lost(code, why))
		return false;
	op->tried = true;
	etcd_auth_forget(op->etcd);
	if (!etcd_auth_wait(op->etcd))
		etcd_op_go(op);
	return true;
}

static void finish(struct etcd_op *op, long code, const json_t *json, const char *why, bool too_long)
{
	struct etcd *etcd = op->etcd;
	size_t member = op->member;
	struct etcd_answer answer = {.why = why, .too_long = too_long};
	char text[160];

	if (!why && code != 200)
		answer.why = error_of(json, code, text);
	else if (!why && !op->line && !json_is_object(json))
		answer.why = "the answer is no JSON";
	if (answer.why && try_token_again(op, code, answer.why))
		return;
	answer.refused = answer.why && (too_long || (!why && !is_members_fault(code)));
	if (!answer.why) {
		etcd_read_header(json, &answer);
		etcd->member[member].state = ETCD_UP;
	}
	if (answer.why && !answer.refused) {
		char reason[160];

		snprintf(reason, sizeof(reason), "%s", answer.why);
		answer.why = reason;
		op->done(op, NULL, &answer);
		etcd_member_failed(etcd, member, reason);
		return;
	}
	op->done(op, answer.why ? NULL : json, &answer);
}

static void on_done(void *arg, const struct fetch_reply *reply)
{
	struct etcd_op *op = arg;
	json_t *json = reply->len ? json_loadb(reply->body, reply->len, 0, NULL) : NULL;
	char why[160];

	snprintf(why, sizeof(why), "%s", reply->why ? reply->why : "");
	op->fetch = NULL;
	finish(op, reply->code, json, why[0] ? why : NULL, reply->too_long);
	json_decref(json);
}

static void on_begun(void *arg) {}

static void on_line(void *arg, const char *text, size_t len)
{
	struct etcd_op *op = arg;
	json_t *json = json_loadb(text, len, 0, NULL);

	op->etcd->member[op->member].state = ETCD_UP;
	op->line(op, json);
	json_decref(json);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct etcd_op *op = arg;

	if (op->fetch && !op->begun)
		etcd_member_failed(op->etcd, op->member, "a watch did not begin in time");
}

static bool limit_begin(struct etcd_op *op)
{
	static const struct timeval limit = {.tv_sec = BEGIN_S};

	if (!op->limit)
		op->limit = evtimer_new(op->etcd->base, on_limit, op);
	return op->limit && evtimer_add(op->limit, &limit) == 0;
}

static bool send_now(struct etcd_op *op)
{
	struct etcd *etcd = op->etcd;
	char url[512];
	const struct fetch_ask ask = {
		.url = url,
		.body = op->body,
		.token = op->is_auth ? NULL : etcd->token,
		.max = ETCD_ANSWER_MAX,
		.timeout_ms = ETCD_TIMEOUT_MS,
	};

	op->member = etcd->current;
	snprintf(url, sizeof(url), "%s/v3/%s", etcd->member[op->member].url, op->path);
	op->fetch = op->line ? fetch_ask_lines(etcd->fetcher, &ask, on_begun, on_line, on_done, op)
			     : fetch_ask(etcd->fetcher, &ask, on_done, op);
	return op->fetch && (!op->line || limit_begin(op));
}

void etcd_op_go(struct etcd_op *op)
{
	const struct etcd_answer answer = {.why = "out of memory"};

	if (!send_now(op))
		op->done(op, NULL, &answer);
}

struct etcd_op *etcd_op_send(struct etcd_op *op)
{
	if (!op)
		return NULL;
	if (!op->is_auth && etcd_auth_wait(op->etcd))
		return op;
	if (send_now(op))
		return op;
	etcd_cancel(op);
	return NULL;
}

bool etcd_op_ask(struct etcd_op *op, json_t *body)
{
	free(op->body);
	op->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return op->body != NULL;
}

struct etcd_op *etcd_op_new(struct etcd *etcd, const char *path, json_t *body,
	void (*done)(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer), void *arg)
{
	struct etcd_op *op = calloc(1, sizeof(*op));

	if (!op) {
		json_decref(body);
		return NULL;
	}
	*op = (struct etcd_op){.etcd = etcd, .path = path, .done = done, .arg = arg};
	TAILQ_INSERT_TAIL(&etcd->ops, op, link);
	if (etcd_op_ask(op, body))
		return op;
	etcd_cancel(op);
	return NULL;
}
