/*
 * ruleset.h: nftables' tables of this host, by libnftables. A table of family inet belongs to one network, and its name
 * ends with the network's gateway's interface. Control thread.
 */
#pragma once

#include <jansson.h>

enum { RULESET_WHY = 256, RULESET_NAME = 64 };

/** Runs nft's commands as one transaction. Returns 0, or -1 with nothing changed and the reason in `why`. */
int ruleset_run(const char *commands, char why[RULESET_WHY]);
/** Takes a table away, whether it is there or not. */
void ruleset_delete(const char *table);
/** What nft says to a command that lists, with handles, to be freed; NULL: there is no such thing, or nothing can be had. */
json_t *ruleset_list(const char *command);
