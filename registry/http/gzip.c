#include "registry/http/gzip.h"

#include <errno.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <zlib.h>

#include "registry/http/text.h"

enum { GZIP_WINDOW = 15 + 16 /* the greatest, with gzip's header */, MEMORY = 8 };

struct http_gzip {
	struct http_text *from, *to;
	size_t done; /* bytes of `from` */
	z_stream stream;
};

/* "q=0.5" in thousandths; what is none accepts nothing. */
static int read_weight(const char *text, size_t len)
{
	int weight = 0, unit = 1000;

	if (len < 3 || strncasecmp(text, "q=", 2) != 0 || (text[2] != '0' && text[2] != '1') || len > 7 ||
		(len > 3 && text[3] != '.'))
		return 0;
	weight = (text[2] - '0') * unit;
	for (size_t i = 4; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		unit /= 10;
		weight += (text[i] - '0') * unit;
	}
	return weight <= 1000 ? weight : 0;
}

struct weights {
	int gzip, any, identity; /* in thousandths; -1: not named */
};

static size_t without_space(const char **text, size_t len)
{
	while (len && (**text == ' ' || **text == '\t')) {
		++*text;
		len--;
	}
	while (len && ((*text)[len - 1] == ' ' || (*text)[len - 1] == '\t'))
		len--;
	return len;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* One coding, "gzip;q=0.5". */
static void read_coding(const char *text, size_t len, struct weights *weights)
{
	const char *end = memchr(text, ';', len), *parameter = end ? end + 1 : text;
	size_t parameter_len = end ? len - (size_t)(parameter - text) : 0;
	int weight = 1000;

	if (end)
		len = (size_t)(end - text);
	len = without_space(&text, len);
	if (end) {
		parameter_len = without_space(&parameter, parameter_len);
		weight = read_weight(parameter, parameter_len);
	}
	if (is_word(text, len, "gzip") || is_word(text, len, "x-gzip"))
		weights->gzip = weight;
	else if (is_word(text, len, "*"))
		weights->any = weight;
	else if (is_word(text, len, "identity"))
		weights->identity = weight;
}

bool http_gzip_accepted(const struct evkeyvalq *headers)
{
	struct weights weights = {-1, -1, -1};
	int gzip;

	for (const struct evkeyval *header = headers->tqh_first; header; header = header->next.tqe_next) {
		if (strcasecmp(header->key, "Accept-Encoding") != 0)
			continue;
		for (const char *at = header->value, *end; *at; at = *end ? end + 1 : end) {
			end = strchrnul(at, ',');
			read_coding(at, (size_t)(end - at), &weights);
		}
	}
	gzip = weights.gzip >= 0 ? weights.gzip : weights.any;
	return gzip > 0 && gzip >= weights.identity;
}

struct http_gzip *http_gzip_begin(struct http_text *text)
{
	struct http_gzip *gzip = calloc(1, sizeof(*gzip));

	if (!gzip)
		return NULL;
	gzip->to = http_text_make();
	if (!gzip->to || deflateInit2(&gzip->stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, MEMORY,
				 Z_DEFAULT_STRATEGY) != Z_OK) {
		http_text_release(gzip->to);
		free(gzip);
		return NULL;
	}
	http_text_hold(text);
	gzip->from = text;
	return gzip;
}

/* Until zlib has taken all that it was given, or with Z_FINISH until it has written all. */
static int deflate_all(struct http_gzip *gzip, int flush)
{
	unsigned char out[16384];
	int rc;

	do {
		gzip->stream.next_out = out;
		gzip->stream.avail_out = sizeof(out);
		rc = deflate(&gzip->stream, flush);
		if (rc == Z_STREAM_ERROR ||
			http_text_put(gzip->to, (char *)out, sizeof(out) - gzip->stream.avail_out) < 0)
			return -ENOMEM;
	} while (gzip->stream.avail_out == 0);
	return 0;
}

int http_gzip_step(struct http_gzip *gzip)
{
	size_t whole = http_text_len(gzip->from), left = HTTP_GZIP_STEP;

	while (left > 0 && gzip->done < whole) {
		struct iovec piece;
		size_t len = http_text_at(gzip->from, gzip->done, &piece);
		int rc;

		len = len < left ? len : left;
		left -= len;
		gzip->stream.next_in = piece.iov_base;
		gzip->stream.avail_in = (unsigned)len;
		gzip->done += len;
		rc = deflate_all(gzip, gzip->done == whole ? Z_FINISH : Z_NO_FLUSH);
		if (rc < 0)
			return rc;
	}
	return gzip->done == whole;
}

struct http_text *http_gzip_end(struct http_gzip *gzip)
{
	struct http_text *made = gzip->to;

	http_text_trim(made);
	gzip->to = NULL;
	http_gzip_free(gzip);
	return made;
}

void http_gzip_free(struct http_gzip *gzip)
{
	if (!gzip)
		return;
	deflateEnd(&gzip->stream);
	http_text_release(gzip->from);
	http_text_release(gzip->to);
	free(gzip);
}
