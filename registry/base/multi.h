/* multi.h: libcurl at work on an event loop. One thread. */
#pragma once

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>

struct multi {
	struct event_base *base;
	CURLM *curl;
	struct event timer;
	void (*after)(void *arg); /* libcurl has done something, and may be called: curl_multi_info_read() */
	void *arg;
};

/** 0 or -ENOMEM. Not to be moved until multi_close(). */
int multi_open(struct multi *multi, struct event_base *base, void (*after)(void *arg), void *arg);
/** All handles are removed. */
void multi_close(struct multi *multi);
