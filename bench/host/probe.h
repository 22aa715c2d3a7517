/*
 * probe.h: how far apart two cores are just now. On a virtual machine the host may place two virtual cores on
 * one chiplet or on two, and move them within a run; a vhost figure halves when it does. So each trial is
 * labelled, and only trials in the same state are compared.
 */
#pragma once

/**
 * Nanoseconds for a cache line to go from core `a` to core `b` and back (best of several batches of round
 * trips, by two threads of their own); 0 when either thread does not get its core. Takes a few milliseconds;
 * nothing else may poll on either core meanwhile.
 */
double probe_round_trip_ns(int a, int b);

/** "near" or "far"; "mixed" when the state changed between the two probes of a trial. */
const char *probe_state(double before_ns, double after_ns);
