/* reason.c: why a query that waited is answered: the header X-Sluice-Reason. */
#include <stdio.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/source/consul/inside.h"

enum { REASON_MAX = 512 };

/* "; name=value": what could end the value, or is not printable ASCII, is spelled as in URLs. */
static size_t put_pair(char text[REASON_MAX], size_t at, const char *name, const char *value)
{
	at += (size_t)snprintf(text + at, REASON_MAX - at, "%s%s=", at ? "; " : "", name);
	for (; *value && at + 4 < REASON_MAX; value++) {
		bool plain = *value > ' ' && *value < 0x7f && *value != ';' && *value != '%';

		at += (size_t)snprintf(
			text + at, REASON_MAX - at, plain ? "%c" : "%%%02X", (unsigned char)*value);
	}
	return at;
}

/* Room is kept for what has a bound, before the names that have hardly one. */
static void reason_text(const struct reg_change *change, char text[REASON_MAX])
{
	char address[IP_PORT_TEXT];
	size_t at = put_pair(text, 0, "why", reg_why_name(change->why));

	if (change->instance[0])
		at = put_pair(text, at, "health", reg_health_name(change->health));
	if (change->instance[0] && !ip_is_none(change->address))
		at = put_pair(text, at, "address", ip_port_text(change->address, change->port, address));
	if (at + REG_SERVICE_MAX / 2 < REASON_MAX)
		at = put_pair(text, at, "service", change->service);
	if (change->instance[0] && at + 64 < REASON_MAX)
		at = put_pair(text, at, "instance", change->instance);
	if (change->check && change->check[0] && at + 64 < REASON_MAX)
		put_pair(text, at, "check", change->check);
}

/* Whose changes it waited for: *any of all services. NULL: it shows something else. */
static const char *waited_for(struct http_request *rq, bool *any)
{
	const char *topic = rq->view->scope->topic(rq);

	*any = strcmp(topic, REG_WATCH_ANY) == 0 || strcmp(topic, REG_WATCH_NAMES) == 0;
	return *any || topic[0] != '@' ? topic : NULL;
}

void consul_reason(struct http_request *rq)
{
	const struct reg_change *change;
	char text[REASON_MAX];
	const char *topic;
	bool any;

	if (!rq->seen || rq->view->by_hash || http_view_is_unordered(rq) || rq->index <= rq->seen)
		return;
	topic = waited_for(rq, &any);
	change = topic ? registry_change_last(consul_of(rq)->reg, any ? NULL : topic, rq->seen) : NULL;
	if (!change)
		return;
	reason_text(change, text);
	http_header(rq, "X-Sluice-Reason", text);
}
