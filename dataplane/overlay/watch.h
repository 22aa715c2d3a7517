/*
 * watch.h: which hosts BFD watches: those at which a vtep is that wants it. Several networks may have vteps at one host,
 * which is one peer. Control thread.
 */
#pragma once

struct dp;
struct vtep_record;

/** The record came, goes (`used` is false already), or is reached another way: its host is watched so, or no longer. Sets
 * record->peer. */
void watch_peer(struct dp *dp, struct vtep_record *record);

/** What the record wants has changed, which concerns every vtep at its host: publishes them all. */
void watch_host(struct dp *dp, const struct vtep_record *record);
