"""Background processes, each in its own group so that its children end with it."""

import os
import signal
import subprocess
import tempfile
import time


class Process:
    """
    A command in the background; output goes to a file, so it never blocks on a full pipe. Only stop() collects it, so
    that its number stays its own until its group is gone: a number that was given away is another's, and a signal to it
    ends a stranger.
    """

    def __init__(self, argv, **popen):
        self.argv = [str(arg) for arg in argv]
        self._output = tempfile.TemporaryFile(mode="w+", errors="replace")
        self._popen = subprocess.Popen(
            self.argv, stdin=popen.pop("stdin", subprocess.DEVNULL), stdout=popen.pop("stdout", self._output),
            stderr=popen.pop("stderr", subprocess.STDOUT), start_new_session=True, **popen)
        self.pid = self._popen.pid
        self.stdin, self.stdout = self._popen.stdin, self._popen.stdout

    def output(self):
        """What it has written so far, both streams."""
        self._output.flush()
        with open(f"/proc/self/fd/{self._output.fileno()}", errors="replace") as copy:
            return copy.read()

    def _code(self):
        """Its exit code, None while it runs."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def running(self):
        return self._code() is None

    def wait(self, timeout_s):
        """Its exit code; subprocess.TimeoutExpired when it goes on."""
        until = time.monotonic() + timeout_s
        while (code := self._code()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(self.argv, timeout_s)
            time.sleep(0.002)
        return code

    def send_signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, timeout_s=10):
        """Ends the whole group: asks, then kills. Returns the exit code."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        self.send_signal(number)
        try:
            self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        return self._popen.wait(timeout_s)

    def kill(self):
        return self.stop(signal.SIGKILL)


def run(argv, check=True, timeout_s=60):
    """Runs a command to its end and returns it (stdout and stderr as text); fails with its output."""
    done = subprocess.run([str(arg) for arg in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=timeout_s)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def open_files(pid):
    """How many descriptors the process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def anonymous_mb(pid):
    """MiB of anonymous memory that the process has in use."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) / 1024
