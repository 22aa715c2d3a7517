/*
 * rcu.h: grace periods. Control publishes a new object by one pointer, waits (or defers), then frees the old
 * one. Workers report a quiescent state once a turn, when they hold no pointer to shared objects, and are
 * offline while asleep. Over rte_rcu_qsbr.
 */
#pragma once

struct dp;

/** Control thread. Waits until every worker has passed a quiescent state: microseconds, a turn at most. */
void rcu_wait(struct dp *dp);

/** Control thread. Calls fn(arg) after a grace period that many deferrals share. */
void rcu_defer(struct dp *dp, void (*fn)(void *arg), void *arg);

/** Control thread. Runs what rcu_defer() gathered, after one grace period. */
void rcu_flush(struct dp *dp);
