/*
 * repeat.h: requests that are, byte for byte, one that was answered before. Programs ask for the same on and on, and
 * what evhttp does to take a request apart and put an answer together costs twice what it takes to send 50 KB. So a GET
 * that comes alone, in one piece and by plain TCP is looked up by its bytes before evhttp sees it. If it is known, and the answer
 * to it is kept (cache.h), that is sent at once; evhttp learns nothing of it, and reads on where the next request begins.
 *
 * Nothing is decided here that was not decided when the request was answered first: the token, the host, what it may
 * ask for follow from its bytes and from settings that are the same as long as the server lives. What does change, the
 * index and the text, is asked for anew each time; where no text is kept that still holds, evhttp gets the request.
 */
#pragma once

struct http;
struct http_conn;
struct http_request;

/** -ENOMEM. */
int http_repeats_open(struct http *http);
void http_repeats_close(struct http *http);

/** Requests have come where one may begin: answers what can be, and leaves the rest to evhttp. */
void http_repeat_serve(struct http_conn *conn);
/** `rq`, whose answer is ready, may come again: takes over what was read of it, if the cache may have the text. */
void http_repeat_put(struct http_request *rq);
