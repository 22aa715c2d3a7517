/*
 * uuid.h: names that nobody else has and nobody can guess. Pure.
 */
#pragma once

enum { UUID_TEXT = 37 };

/** A random one (RFC 4122, version 4) in `text`. -EAGAIN: the kernel has no randomness yet. */
int uuid_make(char text[UUID_TEXT]);
