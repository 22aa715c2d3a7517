#include "bench/client/greeter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return at;
}

static void *greet(void *arg)
{
	struct greeter *g = arg;

	for (int fd; (fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED;) {
		if (fd < 0)
			continue;
		(void)send(fd, &g->name, 1, MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

int greeter_open(struct greeter *g, uint16_t port, char name)
{
	struct sockaddr_in at = loopback(port);
	const int one = 1;
	int rc;

	*g = (struct greeter){.name = name, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (g->listener < 0)
		return -errno;
	if (setsockopt(g->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(g->listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(g->listener, BACKLOG) < 0)
		rc = -errno;
	else
		rc = -pthread_create(&g->thread, NULL, greet, g);
	if (rc == 0)
		return 0;
	close(g->listener);
	g->listener = -1;
	return rc;
}

void greeter_close(struct greeter *g)
{
	if (g->listener < 0)
		return;
	shutdown(g->listener, SHUT_RDWR); /* close(2) alone would wait for the thread that accepts */
	pthread_join(g->thread, NULL);
	close(g->listener);
	g->listener = -1;
}

char greeter_ask(uint16_t port)
{
	static const struct timeval patience = {.tv_sec = 1};
	struct sockaddr_in at = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name = 0;

	if (fd < 0)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || recv(fd, &name, 1, 0) != 1)
		name = 0;
	close(fd);
	return name;
}
