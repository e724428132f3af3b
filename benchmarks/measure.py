"""Run one measurement in a fresh process group, watch it, and leave nothing of it behind."""

import ctypes
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
GRACE = 5.0  # seconds that a measurement may go on after one of its workers ended
POLITE = 1.0  # seconds that what is left over has to end by itself
PR_SET_CHILD_SUBREAPER = 36


def environment():
    """What the measured program gets: no settings that change what Python costs, and `cmp` from this tree."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), env.get("PYTHONPATH")]))
    return env


def adopt_orphans():
    """Orphans of a measurement come to this process, which can then reap or kill every one of them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def how_it_ended(pid):
    """The end of a process that is not our child, as far as its zombie tells."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "ended"
    status = int(fields[49])  # field 52 of proc_pid_stat(5), counted from the third
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


class Watch:
    """What a measurement says over its pipe, and which of its processes end, until it ends or time is up."""

    def __init__(self, process, pipe, limit):
        self.process = process
        self.pipe = pipe
        self.deadline = time.monotonic() + limit
        self.late = f"no end within {limit:g} s"
        self.heard = b""
        self.sample = None
        self.poll = select.poll()
        self.poll.register(pipe, select.POLLIN)
        self.workers = {}
        self.main = self._watch(process.pid)

    def _watch(self, pid):
        fd = os.pidfd_open(pid)
        self.poll.register(fd, select.POLLIN)
        self.workers[fd] = pid
        return fd

    def run(self):
        """Return the sample; the process may still be running if it is a failed one."""
        while True:
            left = self.deadline - time.monotonic()
            events = dict(self.poll.poll(max(0, left * 1000)))
            if self.pipe in events:
                self._hear()
            elif self.main in events:
                return self._ended()
            elif events:
                self._worker_ended(next(iter(events)))
            elif left <= 0:
                return failed(self.late if self.sample is None else f"measured, then did not exit: {self.late}")

    def close(self):
        for fd in self.workers:
            os.close(fd)
        os.close(self.pipe)

    def _hear(self):
        more = os.read(self.pipe, 65536)
        if not more:
            self.poll.unregister(self.pipe)
        *lines, self.heard = (self.heard + more).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "worker" not in message:
                self.sample = message
                continue
            try:
                self._watch(message["worker"])
            except ProcessLookupError:
                self._hurry(f"worker {message['worker']} ended")

    def _worker_ended(self, fd):
        self.poll.unregister(fd)
        self._hurry(f"worker {self.workers[fd]} {how_it_ended(self.workers[fd])}")

    def _hurry(self, reason):
        self.deadline = min(self.deadline, time.monotonic() + GRACE)
        self.late = f"{reason}; no end within {GRACE:g} s of that"

    def _ended(self):
        code = self.process.wait()
        if self.sample and (code == 0 or self.sample["status"] == "failed"):
            return self.sample
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return failed(f"the measuring process {how}" + (" after the measurement" if self.sample else ""))


def failed(reason):
    return {"status": "failed", "reason": reason}


def group_is_gone(group):
    """Reap what can be reaped; true when nobody is left in the group."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for_group(group, seconds):
    deadline = time.monotonic() + seconds
    while not group_is_gone(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def sweep(process, ended, keep):
    """End the whole group; true if something had to be killed.

    First wait (a resource tracker unlinks what its dead family left, then ends), then ask, then kill.
    """
    group, killed = process.pid, False
    if not (ended and wait_for_group(group, POLITE)):
        for number in (signal.SIGTERM, signal.SIGKILL):
            killed = True
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                break
            if wait_for_group(group, POLITE):
                break
    process.wait()
    return sweep_strays(keep) or killed


def sweep_strays(keep):
    """Kill orphans that had left the group (setsid)."""
    listing = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
    strays = {int(pid) for pid in listing.read_text().split()} - keep if listing.exists() else set()
    for pid in strays:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return bool(strays)


def measure(row, module, method, *, rows, seconds, turns, limit, keep=frozenset()):
    """Measure one cell once; a dictionary with `status` ok, n/a or failed.  Never raises for the measured code.

    `keep` are children of ours that do not belong to the measurement.
    """
    listen, speak = os.pipe()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, tempfile.TemporaryFile() as errors:
        command = [sys.executable, HERE / "child.py", "--rows", rows, "--row", row, "--module", module]
        command += ["--method", method, "--folder", folder, "--seconds", seconds, "--turns", turns, "--report", speak]
        process = subprocess.Popen(
            list(map(str, command)),
            env=environment() | {"TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[speak],
            start_new_session=True,
        )
        os.close(speak)
        watch = Watch(process, listen, limit)
        try:
            sample = watch.run()
        finally:
            killed = sweep(process, process.returncode is not None, keep)
            watch.close()
        errors.seek(0)
        text = errors.read().decode(errors="replace").strip().replace(folder, "TMPDIR")
    return sample | {"left_processes": killed and sample["status"] == "ok", "stderr": text[-2000:]}
