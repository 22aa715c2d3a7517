/*
 * dataplane.h: what stands in for the dataplane of a host that is only simulated. It hands out numbers, keeps none of the
 * frames' tables, and counts the static entries that control adds to the fdb: what a host has heard of the others.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct dp;

/** Of all hosts together: entries that are there now. */
extern size_t hosts_entries;

/** Calls fn each time that a host learns of this MAC; NULL: of none. */
void hosts_watch(const uint8_t *mac, void (*fn)(void));
