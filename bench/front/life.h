/*
 * life.h: what happens to a device in a guest's life besides its birth and its end: it pauses and goes
 * on, its memory grows while it runs, the guest boots again. For tests; errors as front_connect.
 */
#pragma once

#include "bench/front/front.h"

/**
 * Stops every ring where it is (GET_VRING_BASE); what was posted stays posted. -EPROTO also when the back-end
 * would not go on right behind the last buffer that it gave back.
 */
int front_halt(struct front *f);

/** Has every halted ring go on where it stopped. */
int front_go_on(struct front *f);

/**
 * Plugs in more memory while the rings run (SET_MEM_TABLE, or ADD_MEM_REG with opt.slots) and moves all transmit buffers there, when the
 * back-end has given back what was posted: -ETIMEDOUT when it does not.
 */
int front_grow(struct front *f);

/** Takes away the pages of queue pair 0's transmit buffers, as a guest's balloon does; they read as zeros again when
 * touched. -errno. */
int front_punch(struct front *f);

/**
 * Boots again on the same connection: rings stopped, memory, rings and features all anew and elsewhere, by
 * `opt`, whose socket and listen are ignored. `reset_owner`: without stopping the rings, by RESET_OWNER.
 * Rings of before are gone.
 */
int front_reboot(struct front *f, const struct front_options *opt, bool reset_owner);
