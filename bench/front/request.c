/* Requests to the back-end, one by one, and its answers. */
#include <errno.h>
#include <string.h>

#include "bench/front/private.h"

static const char *reason(int rc)
{
	switch (rc) {
	case -ENOTCONN:
		return "the back-end hung up";
	case -ETIMEDOUT:
		return "no answer in time";
	case -EPROTO:
		return "the answer makes no sense";
	default:
		return strerror(-rc);
	}
}

/* Sends it, with a wish for an acknowledgement where REPLY_ACK was agreed on. */
static int request_send(struct front *f, struct front_wire *msg, const int *fds, unsigned nfds)
{
	int rc;

	msg->flags = FRONT_WIRE_VERSION;
	if (f->protocol & FRONT_BIT(FRONT_PROTOCOL_REPLY_ACK))
		msg->flags |= FRONT_WIRE_NEED_REPLY;
	rc = front_wire_send(f->socket, msg, fds, nfds);
	return rc < 0 ? front_fail(f, rc, "%s: %s", front_wire_name(msg->request), reason(rc)) : 0;
}

static int request_answer(struct front *f, struct front_wire *msg)
{
	uint32_t asked = msg->request;
	int rc = front_wire_receive(f->socket, msg);

	if (rc == 0 && (msg->request != asked || !(msg->flags & FRONT_WIRE_REPLY)))
		rc = -EPROTO;
	return rc < 0 ? front_fail(f, rc, "%s: %s", front_wire_name(asked), reason(rc)) : 0;
}

int front_request_set(struct front *f, struct front_wire *msg, const int *fds, unsigned nfds)
{
	int rc = request_send(f, msg, fds, nfds);

	if (rc < 0 || !(f->protocol & FRONT_BIT(FRONT_PROTOCOL_REPLY_ACK)))
		return rc;
	rc = request_answer(f, msg);
	if (rc == 0 && msg->body.value != 0)
		return front_fail(f, -EPROTO, "%s: the back-end refused it", front_wire_name(msg->request));
	return rc;
}

int front_request_value(struct front *f, uint32_t request, uint64_t value, int fd)
{
	struct front_wire msg = {.request = request, .size = sizeof(msg.body.value), .body.value = value};

	return front_request_set(f, &msg, &fd, fd >= 0);
}

int front_request_state(struct front *f, uint32_t request, unsigned ring, uint32_t value)
{
	struct front_wire msg = {.request = request,
		.size = sizeof(msg.body.state),
		.body.state = {.index = ring, .value = value}};

	return front_request_set(f, &msg, NULL, 0);
}

int front_request_ask(struct front *f, struct front_wire *msg)
{
	int rc = request_send(f, msg, NULL, 0);

	return rc < 0 ? rc : request_answer(f, msg);
}

int front_request_get(struct front *f, uint32_t request, uint64_t *value)
{
	struct front_wire msg = {.request = request};
	int rc = front_request_ask(f, &msg);

	*value = msg.body.value;
	return rc;
}
