"""What the tests of the synchronisation primitives share: children that hold, wait and die as told, and looks at them.

The functions that children run stand here, so that spawn and forkserver find them under the same name.
"""
import contextlib
import faulthandler
import os
import pathlib
import signal
import subprocess
import sys
import time

from conftest import wait_until

# How to make one of each kind, from cmp or from a context of it.
KINDS = {
    "Lock": lambda ctx: ctx.Lock(),
    "RLock": lambda ctx: ctx.RLock(),
    "Semaphore": lambda ctx: ctx.Semaphore(),
    "BoundedSemaphore": lambda ctx: ctx.BoundedSemaphore(),
    "Event": lambda ctx: ctx.Event(),
    "Condition": lambda ctx: ctx.Condition(),
    "Barrier": lambda ctx: ctx.Barrier(2),
}
HOLDABLE = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"]

# How a process may end, and how OwnerDiedWarning tells it (a part of its text).
ENDS = ("SIGKILL", "SIGSEGV", "_exit", "sys.exit", "return", "exec")


def end(how):
    """End this process in that way."""
    faulthandler.disable()  # or a passing test would print how it crashed
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    elif how == "_exit":
        os._exit(7)
    elif how == "sys.exit":
        sys.exit(7)
    elif how == "exec":
        os.execv("/bin/sleep", ["sleep", "100"])  # it lives on, as another program
    elif how != "return":
        raise ValueError(how)


def hold_and_end(lock, how, times, held):
    for _ in range(times):
        lock.acquire()
    held.set()
    end(how)


def hold_with_and_end(lock, how, held):
    with lock:
        held.set()
        end(how)


def hold_until(lock, held, go):
    lock.acquire()
    held.set()
    go.wait()
    lock.release()


def hold_for_ever(lock, held):
    lock.acquire()
    held.set()
    while True:
        time.sleep(100)


def sleep_for_ever():
    while True:
        time.sleep(100)


@contextlib.contextmanager
def running(ctx, target, *args):
    """A child that runs target(*args); killed at the end if it still lives."""
    process = ctx.Process(target=target, args=args)
    process.start()
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.join()


def kill(process):
    process.kill()
    process.join()


def asleep(pid, tid=None):
    """Whether the thread of that process (the first one) waits in the kernel, and not for a moment only."""
    for _ in range(4):
        with open(f"/proc/{pid}/task/{tid or pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] != "S":
                return False
        time.sleep(0.005)
    return True


def wait_asleep(*processes):
    for process in processes:
        assert wait_until(lambda: asleep(process.pid), 20)  # noqa: B023 (called at once)


def stop(process):
    """SIGSTOP, and wait until it stands."""
    os.kill(process.pid, signal.SIGSTOP)

    def stopped():
        with open(f"/proc/{process.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"
    assert wait_until(stopped, 20)


def go_on(process):
    os.kill(process.pid, signal.SIGCONT)


def run_program(folder, text, *arguments, options=(), env=None, returncode=0, silent=True, timeout=55):
    """Run the text as a program of its own; the lines it printed. It must not say anything on stderr."""
    path = pathlib.Path(folder) / "program.py"
    path.write_text(text)
    ran = subprocess.run([sys.executable, *options, path, *map(str, arguments)], capture_output=True, text=True,
                         timeout=timeout, cwd=folder, env={**os.environ, **(env or {})})
    assert ran.returncode == returncode, ran.stdout + ran.stderr
    assert not (silent and ran.stderr), ran.stderr
    return ran.stdout.splitlines()


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))


def n_threads():
    return len(os.listdir("/proc/self/task"))


def arena_descriptor():
    """The descriptor of the family's memory file."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:cmp"):
                return int(name)
    raise AssertionError("no memory file of cmp among the descriptors")


def arena_bytes():
    """How much memory the arena has in use."""
    return os.fstat(arena_descriptor()).st_blocks * 512


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
