/* listeners.h: guests that make their sockets and are met there, again and again, whenever the switch is. */
#pragma once

/**
 * `count` guests at FOLDER/0.sock, FOLDER/1.sock and so on, each with a thread. Prints "ok" when all listen,
 * and returns at the end of standard input, without joining anybody: the process ends then.
 */
int listeners_run(const char *folder, unsigned count);
