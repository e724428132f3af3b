"""What every test of cmp is held to: a time limit, and nothing left behind.

A test that hangs, or a fixture of it, fails: the stacks of all its processes go to stderr (PYTHONFAULTHANDLER makes
SIGABRT print them), its children are killed, and it ends with TimeLimitExceeded. A test that leaves a process or a
file in /dev/shm behind fails too.
"""
import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import time

import pytest

os.environ["PYTHONFAULTHANDLER"] = "1"  # inherited by every process that a test starts
for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)

LIMIT = 60
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


class TimeLimitExceeded(BaseException):
    """The test took longer than its limit; not an Exception, so that no test swallows it."""


def pytest_configure(config):
    config.addinivalue_line("markers", f"limit(seconds): time limit of the test, {LIMIT} without it")
    # A job started with nohup or & has SIGINT ignored, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    libc = ctypes.CDLL(None)
    # Orphans of a test come to us, so that they are seen.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A /dev/shm of our own where that is allowed, so that other programs' files are not taken for ours; and only
    # where it stays ours: a mount that is not private would go over everybody's.
    if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0:
        libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, None)


def process_table():
    """pid -> (parent's pid, state, command line) of all processes."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat, open(f"/proc/{entry}/cmdline", "rb") as command:
                    state, parent = stat.read().rpartition(b")")[2].split()[:2]
                    table[int(entry)] = int(parent), state.decode(), command.read().replace(b"\0", b" ")
            except OSError:
                pass  # ended meanwhile
    return table


def session_helpers():
    """The standard library's helpers that serve this whole session and end with it."""
    from multiprocessing import forkserver, resource_tracker
    return {forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid}


def descendants():
    """The processes below this one that have not ended, the session's helpers aside."""
    table, found, todo, helpers = process_table(), {}, [os.getpid()], session_helpers()
    while todo:
        parent = todo.pop()
        for pid, (of, state, command) in table.items():
            if of == parent:
                todo.append(pid)
                if state not in "ZX" and command and pid not in helpers:  # no command: it is about to be a zombie
                    found[pid] = command.decode(errors="replace")
    return found


def reap_orphans():
    for pid, (parent, state, _) in process_table().items():
        if parent == os.getpid() and state == "Z":
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def show_stacks_and_kill():
    for signum, pause in ((signal.SIGCONT, 0), (signal.SIGABRT, 1), (signal.SIGKILL, 0)):
        for pid, command in descendants().items():
            print(f"\n== process {pid} ({command.strip()[:100]}) gets {signum.name}", file=sys.stderr, flush=True)
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass
        time.sleep(pause)


@contextlib.contextmanager
def time_limit(item, phase, more=0):
    """One phase of the test has the limit for itself: the test, or what its fixtures do before or after it."""
    marker = item.get_closest_marker("limit")
    limit = (marker.args[0] if marker else LIMIT) + more

    def on_alarm(signum, frame):
        print(f"\n== {phase} of {item.nodeid} exceeds its limit of {limit} s", file=sys.stderr)
        faulthandler.dump_traceback(file=sys.__stderr__)
        show_stacks_and_kill()
        raise TimeLimitExceeded(f"{limit} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, limit)
    faulthandler.dump_traceback_later(limit + 30, exit=True)  # for a wait that no signal gets through to
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with time_limit(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with time_limit(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    with time_limit(item, "teardown", more=10):  # for what nothing_left_behind waits for
        return (yield)


def wait_until(condition, seconds=10):
    """Wait for what another process brings about; False when it has not come by then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(autouse=True)
def nothing_left_behind():
    files = set(os.listdir("/dev/shm"))
    yield
    gone = wait_until(lambda: not descendants(), 5)
    left = descendants()
    if not gone:
        show_stacks_and_kill()
    reap_orphans()
    assert not left, f"processes left behind: {left}"
    assert wait_until(lambda: set(os.listdir("/dev/shm")) <= files, 2), set(os.listdir("/dev/shm")) - files


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def method(request):
    """Each start method in turn."""
    return request.param


@pytest.fixture
def ctx(method):
    """cmp's context of each start method in turn."""
    import cmp
    return cmp.get_context(method)
