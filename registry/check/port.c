/*
 * port.c: the link of the switch port that has the backend's address. Nothing is probed: the switch
 * knows.
 */
#include "registry/check/check.h"

static void link_changed(struct check *check, int state)
{
	static const char *const words[] = {"no port has the address", "the port is down", "the port is up"};

	check_set(check, state == 1 ? REG_PASSING : REG_CRITICAL, words[state + 1]);
}

const struct check_type check_port = {
	.name = "port",
	.link = link_changed,
};
