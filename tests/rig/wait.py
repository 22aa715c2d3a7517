"""Waiting for something to become true, with a deadline that only a broken switch reaches."""

import os
import time

# A sanitizer build on a busy machine is several times slower.
PATIENCE_S = 60.0 if os.environ.get("SLUICE_SANITIZED") else 20.0


def until(condition, what, timeout_s=None, interval_s=0.02):
    """Calls `condition` until it gives something true, and returns that; else fails with `what` and the last value."""
    deadline = time.monotonic() + (timeout_s or PATIENCE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s or PATIENCE_S:.0f} s (last: {value!r})")
        time.sleep(interval_s)
