#include "bench/client/asker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_MAX = 32768, LABEL_MAX = 63, PATIENCE_S = 60 };

static int connected(int type, uint16_t port)
{
	static const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
		connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int asker_http(uint16_t port)
{
	int fd = connected(SOCK_STREAM, port), one = 1;

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int asker_dns(uint16_t port)
{
	return connected(SOCK_DGRAM, port);
}

int asker_send(int http, const char *method, const char *path, const char *body)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
		"%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", method, path,
		strlen(body), body);

	if (len >= (int)sizeof(text))
		return -EMSGSIZE;
	return send(http, text, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EIO;
}

/* Bytes of the whole answer as its header says, 0: the header is not whole yet. */
static size_t length_of(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");

	if (!end)
		return 0;
	return (size_t)(end + 4 - text) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

int asker_read(int http, char *text, size_t size)
{
	size_t used = 0, whole = 0;

	while (whole == 0 || used < whole) {
		ssize_t n = recv(http, text + used, size - 1 - used, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		used += (size_t)n;
		text[used] = '\0';
		whole = length_of(text);
	}
	return strncmp(text, "HTTP/1.1 ", 9) == 0 ? (int)strtol(text + 9, NULL, 10) : -EPROTO;
}

int asker_receive(int http, uint64_t *index)
{
	char text[ANSWER_MAX + 1];
	int status = asker_read(http, text, sizeof(text));
	const char *told = status >= 0 ? strcasestr(text, "\r\nX-Consul-Index:") : NULL;

	if (told)
		*index = strtoull(told + 17, NULL, 10);
	return status;
}

/* RFC 1035, 4.1: a header with one question, for type A of class IN. */
size_t asker_question(uint8_t question[ASKER_QUESTION], uint16_t id, const char *name)
{
	static const char rest[] = "\7service\6consul\0\0\1\0\1";
	const uint8_t header[12] = {(uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1};
	size_t len = strnlen(name, LABEL_MAX), at = sizeof(header);

	memcpy(question, header, sizeof(header));
	question[at++] = (uint8_t)len;
	memcpy(question + at, name, len);
	at += len;
	memcpy(question + at, rest, sizeof(rest) - 1);
	return at + sizeof(rest) - 1;
}

int asker_resolve(int dns, const char *name)
{
	static uint16_t id;
	uint8_t question[ASKER_QUESTION], answer[1500];
	size_t len = asker_question(question, ++id, name);
	ssize_t n;

	if (send(dns, question, len, 0) < 0)
		return -errno;
	do {
		n = recv(dns, answer, sizeof(answer), 0);
		if (n < 0)
			return -errno;
	} while (n < 12 || memcmp(answer, question, 2) != 0);
	return answer[6] << 8 | answer[7];
}
