/* notify.h: tells systemd how the daemon does, when it was started by it (sd_notify(3), $NOTIFY_SOCKET). */
#pragma once

/** Sends e.g. "READY=1"; does nothing outside systemd. */
void notify_systemd(const char *state);

/** Says that a reload begins, and when (Type=notify-reload); READY=1 ends it. */
void notify_reloading(void);
