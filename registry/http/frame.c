/*
 * frame.c: where a request ends, if whoever is between the client and this server could think that it ends elsewhere. What
 * follows would be a request to one and a body to the other (RFC 9112, section 11.2): so none of it is read.
 */
#include <string.h>
#include <strings.h>

#include "registry/http/server.h"

/* Each says the same, in digits. */
static bool agrees(const struct evkeyvalq *headers, const char **length)
{
	const struct evkeyval *header;

	*length = NULL;
	for (header = headers->tqh_first; header; header = header->next.tqe_next) {
		const char *value = header->value;

		if (strcasecmp(header->key, "Content-Length") != 0)
			continue;
		if (!*value || strspn(value, "0123456789") != strlen(value) ||
			(*length && strcmp(*length, value) != 0))
			return false;
		*length = value;
	}
	return true;
}

/* evhttp knows one coding, and takes a request with any other for one without a body. */
static bool is_known(const struct evkeyvalq *headers, bool *coded)
{
	const struct evkeyval *header;

	*coded = false;
	for (header = headers->tqh_first; header; header = header->next.tqe_next) {
		if (strcasecmp(header->key, "Transfer-Encoding") != 0)
			continue;
		if (*coded || strcasecmp(header->value, "chunked") != 0)
			return false;
		*coded = true;
	}
	return true;
}

/* Nothing that follows on this connection is read. */
static bool refuse(struct http_request *rq, const char *why)
{
	http_header(rq, "Connection", "close");
	return http_fail(rq, 400, "%s", why);
}

bool http_frame_read(struct http_request *rq)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->raw);
	const char *length;
	bool coded;

	if (!agrees(headers, &length))
		return refuse(rq, "Content-Length: must be one number");
	if (!is_known(headers, &coded))
		return refuse(rq, "Transfer-Encoding: only chunked is known");
	if (coded && length) /* libevent 2.1.12 refuses that itself, others do not */
		return refuse(rq, "Content-Length: not with Transfer-Encoding");
	/* evhttp reads no body of these */
	if (!(rq->verb & (VERB_PUT | VERB_POST)) &&
		(coded || (length && strspn(length, "0") != strlen(length))))
		http_header(rq, "Connection", "close");
	return true;
}
