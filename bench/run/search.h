/*
 * search.h: the greatest rates that a switch forwards with no loss (NDR, RFC 2544 section 26.1) and with at
 * most half a percent (PDR), by bisection in short paced trials. A rate counts as carried when most of its
 * trials say so, since on a shared machine the hypervisor now and then takes a core away for longer than any
 * ring holds.
 */
#pragma once

#include "bench/report/scenario.h"
#include "bench/traffic/generator.h"

/** Searches below 1.05 times the closed loop's rate in `t`, and sets its METRIC_NDR and METRIC_PDR. */
void search_rates(struct session *s, struct generator *g, struct trial *t);
