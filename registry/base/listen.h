/* listen.h: the address that a server listens on, as it is configured. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/** Reads "ADDRESS:PORT" or "[ADDRESS]:PORT"; *any: the port is 0, any free one. False: it is neither. */
bool listen_read(const char *text, struct sockaddr_storage *address, socklen_t *size, bool *any);

/** Could a server have this address? Binds it for a moment; that another has it now does not count. -errno. */
int listen_try(const struct sockaddr_storage *address, socklen_t size, int type);
