#include "registry/base/multi.h"

#include <errno.h>

static void act(struct multi *multi, curl_socket_t fd, int mask)
{
	int running;

	curl_multi_socket_action(multi->curl, fd, mask, &running);
	multi->after(multi->arg);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	act(arg, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct multi *multi = arg;
	struct event *event = known;
	short events = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
			       (what & CURL_POLL_OUT ? EV_WRITE : 0));

	if (what == CURL_POLL_REMOVE) {
		if (event)
			event_free(event);
		return 0;
	}
	if (!event) {
		event = event_new(multi->base, fd, events, on_socket, multi);
		curl_multi_assign(multi->curl, fd, event);
	} else {
		event_del(event);
		event_assign(event, multi->base, fd, events, on_socket, multi);
	}
	return event && event_add(event, NULL) == 0 ? 0 : -1;
}

static int watch_timer(CURLM *curl, long ms, void *arg)
{
	struct multi *multi = arg;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (ms < 0)
		event_del(&multi->timer);
	else
		event_add(&multi->timer, &tv);
	return 0;
}

int multi_open(struct multi *multi, struct event_base *base, void (*after)(void *arg), void *arg)
{
	*multi = (struct multi){.base = base, .after = after, .arg = arg};
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	multi->curl = curl_multi_init();
	if (!multi->curl)
		return -ENOMEM;
	event_assign(&multi->timer, base, -1, 0, on_timer, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, watch_timer);
	curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
	return 0;
}

void multi_close(struct multi *multi)
{
	curl_multi_cleanup(multi->curl);
	event_del(&multi->timer);
}
