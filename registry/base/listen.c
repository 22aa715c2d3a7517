#include "registry/base/listen.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* libevent does not take port 0 as such, but a missing port as 0. */
bool listen_read(const char *text, struct sockaddr_storage *address, socklen_t *size, bool *any)
{
	size_t len = strlen(text);
	int room = sizeof(*address);
	char copy[64];

	*any = len > 2 && strcmp(text + len - 2, ":0") == 0;
	snprintf(copy, sizeof(copy), "%.*s", (int)(*any ? len - 2 : len), text);
	if (evutil_parse_sockaddr_port(copy, (struct sockaddr *)address, &room) < 0)
		return false;
	*size = (socklen_t)room;
	return *any == !((struct sockaddr_in6 *)address)->sin6_port; /* at one place in both families */
}

int listen_try(const struct sockaddr_storage *address, socklen_t size, int type)
{
	int fd = socket(address->ss_family, type | SOCK_CLOEXEC, 0), on = 1, rc = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)address, size) < 0 && errno != EADDRINUSE)
		rc = -errno;
	close(fd);
	return rc;
}
