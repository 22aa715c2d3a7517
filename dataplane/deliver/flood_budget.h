/*
 * flood_budget.h: how much one port may flood in a turn of its worker. By ingress port, so that one guest's broadcasts
 * never cost another guest's. Worker.
 */
#pragma once

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"

/**
 * Spends the budget of b->in for this turn on n frames to one more receiver. What it does not cover is dropped.
 * Returns how many of the frames, from the first on, may be sent.
 */
unsigned flood_budget_spend(struct worker *w, struct burst *b, struct frame **frames, unsigned n);
