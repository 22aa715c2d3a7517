/*
 * greeter.h: TCP servers on 127.0.0.1 that say who they are and hang up, for a proxy to choose from.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

struct greeter {
	char name;
	int listener; /* -1: closed */
	pthread_t thread;
};

/** Listens at `port` and answers each connection with its name, by a thread. 0 or -errno. */
int greeter_open(struct greeter *g, uint16_t port, char name);

/** From its first moment on the port refuses who comes, as of a server that has ended. Nothing where it is closed. */
void greeter_close(struct greeter *g);

/** Connects to `port`. The name of who answers; 0: nobody did, within a second. */
char greeter_ask(uint16_t port);
