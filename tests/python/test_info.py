"""python -m cmp.info, and what the extension tells of processes."""
import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

import cmp
import cmp.info
from cmp import _cmp
from conftest import wait_until


def run(*arguments, prefix=""):
    command = ["-m", "cmp.info", *arguments]
    if prefix:
        command = ["-c", f"import cmp.info, sys; {prefix}; sys.exit(cmp.info.main({list(arguments)!r}))"]
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=30)


def test_report_as_text_and_json():
    text, as_json = run(), run("--json")
    assert (text.returncode, text.stderr, as_json.returncode, as_json.stderr) == (0, "", 0, "")
    told = json.loads(as_json.stdout)
    names = [*told["features"], *told["amounts"]]
    lines = [line.split(None, 1) for line in text.stdout.splitlines()[1:] if not line.startswith("Missing here")]
    assert [line[0] for line in lines] == names
    for name, shown in lines:
        if name in told["features"]:
            value = told["features"][name]["value"]
            assert value is True or name in told["missing"]
            assert shown.startswith("yes " if value is True else "no ")
        elif name not in cmp.info.BYTES:
            value = told["amounts"][name]["value"]
            assert shown.split()[0] == ("none" if value is None else str(value))
    ours = cmp.info.report()
    moving = {"dev_shm_free"}
    for part in ("features", "amounts"):
        assert told[part].keys() == ours[part].keys()
        for name in told[part].keys() - moving:
            assert told[part][name] == ours[part][name], name
        assert all(found["text"] for found in told[part].values())


def test_limits_are_those_of_the_process():
    kernel = _cmp.kernel()
    assert kernel["rlimit_nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert kernel["cpus"] == len(os.sched_getaffinity(0))
    shm = os.statvfs("/dev/shm")
    assert kernel["dev_shm_size"] == shm.f_blocks * shm.f_frsize
    told = json.loads(run("--json", prefix="import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (64, 64))").stdout)
    assert "64" in json.dumps(told["amounts"]["rlimit_nofile"])


def test_poor_machine():
    """With hardly a descriptor or process left it still tells what it can."""
    for limit in ("NOFILE, (8, 8)", "NPROC, (0, 0)", "FSIZE, (0, 0)"):
        told = run(prefix=f"import resource as r; r.setrlimit(r.RLIMIT_{limit})")
        assert (told.returncode, told.stderr) == (0, ""), limit
        assert "futex_waitv" in told.stdout


def test_asking_leaves_nothing_behind():
    _cmp.kernel()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        _cmp.kernel()
    assert sorted(os.listdir("/proc/self/fd")) == before  # children: tests/core/test_kernel.c


def test_identity_and_is_alive():
    child = subprocess.Popen(["sleep", "100"])
    me, other = _cmp.identity(), _cmp.identity(child.pid)
    assert me.pid == os.getpid() and other.pid == child.pid
    with open(f"/proc/{child.pid}/stat") as stat:
        assert other.start_time == int(stat.read().rpartition(")")[2].split()[19])
    assert _cmp.is_alive(other.pid, other.start_time)
    assert not _cmp.is_alive(other.pid, other.start_time + 1), "a later process with the same pid"
    child.send_signal(signal.SIGSTOP)
    assert _cmp.is_alive(other.pid, other.start_time), "a stopped process is not a dead one"
    child.kill()
    assert wait_until(lambda: not _cmp.is_alive(other.pid, other.start_time)), "a zombie is dead"
    child.wait()
    assert not _cmp.is_alive(other.pid, other.start_time)
    with pytest.raises(ProcessLookupError):
        _cmp.identity(child.pid)


@pytest.mark.parametrize("wrong", ["1", 1.5, None, Decimal(1), 0, -1, 2**40])
def test_wrong_pids_are_named(wrong):
    for call in (lambda: _cmp.is_alive(wrong, 1), lambda: _cmp.die_with_parent(wrong)):
        with pytest.raises((TypeError, ValueError), match="must be") as caught:
            call()
        assert repr(wrong) in str(caught.value)


def test_not_our_parent_without_sentinel():
    told = f"process {os.getpid()} is not the parent of this one: pass a sentinel"
    with pytest.raises(ChildProcessError, match=told) as caught:
        _cmp.die_with_parent(os.getpid())
    assert caught.value.errno == errno.ECHILD


def test_redirect():
    calls = []

    def function(*args, **kwargs):
        calls.append((args, kwargs))
        return "done"

    def translate(name, *rest, **kwargs):
        assert (rest, kwargs) in [(("rest",), {"key": 5}), ((), {})]
        return "ours" + name[len("theirs"):]

    redirect = _cmp.Redirect(function, "theirs", translate)
    assert redirect("theirs", "rest", key=5) == "done"
    assert redirect("theirs.part") == "done"
    assert redirect(name="theirs") == "done"
    for name in ("theirselves", "the", "", "other.theirs", 5, "theirs\u20ac", None):
        redirect(name, 1)
    redirect()
    assert calls == [(("ours", "rest"), {"key": 5}), (("ours.part",), {}), ((), {"name": "ours"}),
                     *[((name, 1), {}) for name in ("theirselves", "the", "", "other.theirs", 5, "theirs\u20ac", None)],
                     ((), {})]
    assert redirect.__name__ == "function" and redirect.__wrapped__ is function
    with pytest.raises(ZeroDivisionError):
        _cmp.Redirect(function, "theirs", lambda name: 1 / 0)("theirs")
    with pytest.raises(TypeError):
        _cmp.Redirect(function, 5, translate)


def test_redirect_is_collected():
    import gc
    import weakref

    def function():
        pass
    function.redirect = _cmp.Redirect(function, "x", function)
    gone = weakref.ref(function)
    del function
    gc.collect()
    assert gone() is None


def test_redirect_that_was_cleared():
    """As the garbage collector leaves it, with a reference still somewhere in the cycle."""
    slot = ctypes.pythonapi.PyType_GetSlot
    slot.restype, slot.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_int)
    tp_clear = 51  # of CPython's typeslots.h
    redirect = _cmp.Redirect(print, "x", print)
    ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object)(slot(_cmp.Redirect, tp_clear))(redirect)
    for use in (lambda: redirect("x"), lambda: redirect("y"), redirect, lambda: redirect.__name__,
                lambda: redirect.__wrapped__):
        with pytest.raises(ReferenceError):
            use()
