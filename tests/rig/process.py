"""Background processes, each in its own group so that its children end with it."""

import os
import signal
import subprocess
import tempfile


class Process:
    """A command in the background; output goes to a file, so it never blocks on a full pipe."""

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

    def running(self):
        return self._popen.poll() is None

    def wait(self, timeout_s):
        """Its exit code; subprocess.TimeoutExpired when it goes on."""
        return self._popen.wait(timeout_s)

    def send_signal(self, number):
        self._popen.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout_s=10):
        """Ends the whole group: asks, then kills. Returns the exit code."""
        if self.running():
            self.send_signal(number)
            try:
                self._popen.wait(timeout_s)
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
