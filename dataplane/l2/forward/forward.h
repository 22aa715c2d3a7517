/*
 * forward.h: the two stages of forwarding. learn.c learns from each frame where its source address is;
 * lookup.c finds out where its destination address is, and so the frame's verdict. Worker.
 */
#pragma once

#include "dataplane/core/worker.h"

void learn_stage(struct worker *w, struct burst *b);
void lookup_stage(struct worker *w, struct burst *b);
