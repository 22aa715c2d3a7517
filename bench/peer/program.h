/*
 * program.h: runs a peer's program with one verb and reads what it prints.
 */
#pragma once

/**
 * Runs `path verb` in a process group of its own (a Ctrl-C at the terminal is for the bench, which then takes
 * the peer down in order), with this process's environment. `line` gets each line of its stdout, without the
 * newline; `error` (at least 256 bytes) the last line of its stderr. Returns the exit status, 128 + the
 * signal that ended it, or -errno when it could not be started. Meanwhile it reaps whatever ends that came to
 * this process as its adopter (main.c): the peer's `down` waits for processes to be gone.
 */
int program_run(const char *path, const char *verb, void (*line)(void *context, const char *text),
	void *context, char *error);
