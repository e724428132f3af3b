"""Who removes a segment: its creator, or the resource tracker of the creator's family; never who attached to it.

A program of its own stands for a family: its stderr is the tracker's too, and must stay empty unless something was
really left to the tracker.
"""
import fcntl
import os
import platform
import signal
import subprocess
import sys
import time
from unittest import mock

import pytest
from crew import run_program

import cmp
from cmp import _cmp, resource_tracker
from cmp.shared_memory import SharedMemory
from conftest import wait_until

HERE = os.path.dirname(__file__)
WITH_TESTS = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (
    HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH"))))}

METHODS = ["fork", "spawn", "forkserver"]

# How a plain Python before 3.13 keeps its tracker from destroying what it attached to; from then on, track=False.
ATTACH = """
import sys
from multiprocessing import resource_tracker, shared_memory
assert "cmp" not in sys.modules
def attach(name):
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name, track=False)
    memory = shared_memory.SharedMemory(name)
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory
"""


def exists(name):
    return os.path.exists(f"/dev/shm/{name}")


def program(folder, text, *arguments, **options):
    """A program on cmp; its __main__ is importable, for spawn."""
    main = "\n".join("    " + line for line in text.strip().splitlines())
    return run_program(folder, f"""
import os, signal, sys, time
import cmp
from cmp import resource_tracker
from cmp.shared_memory import ShareableList, SharedMemory

def attach(name, *what):
    memory = SharedMemory(name)
    memory.buf[0] += 1
    if "unregister" in what:
        resource_tracker.unregister(memory._name, "shared_memory")
    if "unlink" in what:
        memory.unlink()
    memory.close()
    if "die" in what:
        os.kill(os.getpid(), signal.SIGKILL)

def create(name, *what):
    memory = SharedMemory(name, create=True, size=10)
    if "unlink" in what:
        memory.unlink()
    if "die" in what:
        os.kill(os.getpid(), signal.SIGKILL)

def child(target, *args):
    process = cmp.Process(target=target, args=args)
    process.start()
    process.join()

if __name__ == "__main__":
    cmp.set_start_method(sys.argv[1])
    there = lambda name: os.path.exists("/dev/shm/" + name)
{main}
""", *arguments, **options)


# A plain Python, in a program of its own

def test_a_plain_python_attaches_to_ours(tmp_path):
    memory = SharedMemory(create=True, size=1000)
    memory.buf[:4] = b"ours"
    run_program(tmp_path, ATTACH + """
memory = attach(sys.argv[1])
assert bytes(memory.buf[:4]) == b"ours" and memory.size == 1000
memory.buf[-5:] = b"plain"
memory.close()
""", memory.name)
    assert bytes(memory.buf[-5:]) == b"plain" and exists(memory.name)
    memory.unlink()


def test_we_attach_to_a_plain_pythons(tmp_path):
    (tmp_path / "attacher.py").write_text("""
import sys
from cmp.shared_memory import SharedMemory
memory = SharedMemory(sys.argv[1])
assert bytes(memory.buf[:5]) == b"plain" and memory.size == 1000
memory.buf[-4:] = b"ours"
""")
    run_program(tmp_path, """
import os, subprocess, sys
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=1000)
memory.buf[:5] = b"plain"
for turn in range(2):
    subprocess.run([sys.executable, "attacher.py", memory.name], check=True)
    assert bytes(memory.buf[-4:]) == b"ours" and os.path.exists("/dev/shm/" + memory.name)
memory.close()
memory.unlink()
""")


def test_a_plain_python_unlinks_ours(tmp_path):
    """Its creator has nothing to complain of then."""
    (tmp_path / "unlinker.py").write_text(ATTACH + """
import os
os.unlink("/dev/shm/" + sys.argv[1])
""")
    run_program(tmp_path, """
import subprocess, sys
from cmp.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=1000)
subprocess.run([sys.executable, "unlinker.py", memory.name], check=True)
""")


def test_we_unlink_a_strangers(tmp_path):
    """Without a tracker, and with one that does not know the name."""
    for first in ("", "SharedMemory(create=True, size=1).unlink()"):
        memory = SharedMemory(create=True, size=1000, track=False)
        run_program(tmp_path, f"""
import sys
from cmp.shared_memory import SharedMemory
{first}
SharedMemory(sys.argv[1]).unlink()
""", memory.name)
        assert not exists(memory.name)


def test_attaching_starts_no_tracker(tmp_path):
    memory = SharedMemory(create=True, size=1000)
    run_program(tmp_path, """
import sys
from cmp import resource_tracker
from cmp.shared_memory import SharedMemory
memory = SharedMemory(sys.argv[1], track=True)
memory.close()
assert not resource_tracker.is_running()
""", memory.name)
    assert exists(memory.name)
    memory.unlink()


# Within a family

@pytest.mark.parametrize("method", METHODS)
def test_children_that_attach_leave_no_trace(tmp_path, method):
    program(tmp_path, """
memory = SharedMemory("cmp_test_trace", create=True, size=10)
for what in ([], ["die"], ["unregister"], ["unregister", "die"], ["unregister", "unregister"]):
    child(attach, memory.name, *what)
    assert there(memory.name)
assert memory.buf[0] == 5
memory.unlink()
""", method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cmp_test_other", None])
def test_another_than_the_creator_unlinks(tmp_path, method, name):
    program(tmp_path, f"""
memory = SharedMemory({name!r}, create=True, size=10)
child(attach, memory.name, "unlink")
assert not there(memory.name)
memory = SharedMemory({name!r}, create=True, size=10)
child(attach, memory.name, "unlink", "die")
try:
    memory.unlink()
except FileNotFoundError:
    pass
resource_tracker.ensure_running()
child(create, "cmp_test_child")
SharedMemory("cmp_test_child").unlink()
""", method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cmp_test_killed", None])
def test_what_a_killed_creator_made_goes_with_the_family(tmp_path, method, name):
    told = program(tmp_path, f"""
resource_tracker.ensure_running()
before = set(os.listdir("/dev/shm"))
child(create, {name!r}, "die")
for left in set(os.listdir("/dev/shm")) - before:
    child(attach, left, "unregister")
    child(attach, left, "unregister", "die")
    memory = SharedMemory(left)
    assert memory.buf[0] == 2
    resource_tracker.unregister(memory._name, "shared_memory")
    print(left, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
""", method, returncode=-9, silent=False)
    assert len(told) == 1
    assert wait_until(lambda: not exists(told[0]))


def test_the_creator_may_leave_it_to_others(tmp_path):
    """By track=False, or by taking back what it has registered, as with multiprocessing."""
    program(tmp_path, """
SharedMemory("cmp_test_left1", create=True, size=10, track=False)
memory = SharedMemory("cmp_test_left2", create=True, size=10)
resource_tracker.unregister(memory._name, "shared_memory")
resource_tracker.unregister(memory._name, "shared_memory")
""", "fork")
    for name in ("cmp_test_left1", "cmp_test_left2"):
        SharedMemory(name).unlink()


def test_unregister_after_attach_in_the_creators_process(tmp_path):
    told = program(tmp_path, """
memory = SharedMemory(create=True, size=10)
for turn in range(3):
    other = SharedMemory(memory.name)
    resource_tracker.unregister(other._name, "shared_memory")
print(memory.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""", "fork", returncode=-9, silent=False)
    assert wait_until(lambda: not exists(told[0]))


def test_register_as_it_is_patched_in_the_wild(tmp_path):
    program(tmp_path, """
memory = SharedMemory(create=True, size=10)
register, unregister = resource_tracker.register, resource_tracker.unregister
resource_tracker.register = resource_tracker.unregister = lambda name, rtype: None
other = SharedMemory(memory.name)
other.close()
SharedMemory("cmp_test_patched", create=True, size=1)  # as with multiprocessing: not registered
resource_tracker.register, resource_tracker.unregister = register, unregister
from unittest import mock
with mock.patch("multiprocessing.resource_tracker.register", lambda *args: None):
    SharedMemory(memory.name).close()
    SharedMemory(create=True, size=1).unlink()
for name in (memory.name, "cmp_test_patched"):
    SharedMemory(name).unlink()
resource_tracker.register("/cmp_test_by_hand", "shared_memory")
resource_tracker.register("/cmp_test_by_hand", "shared_memory")
resource_tracker.unregister("/cmp_test_by_hand", "shared_memory")
resource_tracker.unregister("/cmp_test_by_hand", "shared_memory")
resource_tracker.unregister("/cmp_test_unknown", "shared_memory")
""", "fork")


def test_the_tracker_is_killed_and_started_anew(tmp_path):
    told = run_program(tmp_path, """
import os, signal, warnings
from cmp import resource_tracker
from cmp.shared_memory import SharedMemory
warnings.simplefilter("ignore")
first = SharedMemory("cmp_test_first", create=True, size=1)
os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)
os.waitpid(resource_tracker._resource_tracker._pid, 0)
second = SharedMemory("cmp_test_second", create=True, size=1)
third = SharedMemory(create=True, size=1)
first.unlink()
print(second.name, third.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""", returncode=-9, silent=False)
    assert not exists("cmp_test_first")
    assert wait_until(lambda: not any(map(exists, told[0].split())))


def test_a_raw_fork(tmp_path):
    run_program(tmp_path, """
import os
from cmp.shared_memory import SharedMemory
from cmp import resource_tracker
memory = SharedMemory(create=True, size=10)
if os.fork() == 0:
    other = SharedMemory(memory.name)
    resource_tracker.unregister(other._name, "shared_memory")
    other.buf[0] = 1
    memory.close()
    SharedMemory("cmp_test_raw", create=True, size=1).unlink()
    os._exit(0)
os.wait()
assert memory.buf[0] == 1
memory.unlink()
""")


# Races and deaths

def race(name, barrier, found):
    register = resource_tracker.register

    def slow(name, rtype):
        register(name, rtype)
        time.sleep(0.005)  # in which others find that there is no such segment

    resource_tracker.register = slow
    for turn in range(20):
        barrier.wait()
        try:
            SharedMemory(f"{name}{turn}", create=True, size=100).buf[0] = 1
            found.release()
        except FileExistsError:
            SharedMemory(f"{name}{turn}").close()  # never before it has its size


@pytest.mark.parametrize("method", METHODS)
def test_who_loses_a_race_for_a_name_takes_nothing_from_the_winner(tmp_path, method):
    """After it all are killed: what the winners made must go, so the tracker must know it still."""
    (tmp_path / "racers.py").write_text("""
import os, signal, sys
from test_segment_owners import race
import cmp
from cmp import resource_tracker

if __name__ == "__main__":
    cmp.set_start_method(sys.argv[1])
    resource_tracker.ensure_running()
    barrier, found = cmp.Barrier(4), cmp.Semaphore(0)
    racers = [cmp.Process(target=race, args=("cmp_test_race", barrier, found)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    print(found.get_value(), sum(name.startswith("cmp_test_race") for name in os.listdir("/dev/shm")), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
""")
    ran = subprocess.run([sys.executable, "racers.py", method], cwd=tmp_path, capture_output=True, text=True,
                         timeout=50, env=WITH_TESTS)
    assert ran.stdout.split() == ["20", "20"], ran.stderr
    assert wait_until(lambda: not [name for name in os.listdir("/dev/shm") if name.startswith("cmp_test_race")])


def test_a_stranger_is_faster(tmp_path):
    """In the moment between looking and creating: the segment is the stranger's, and stays."""
    run_program(tmp_path, """
import os
from cmp import resource_tracker
from cmp.shared_memory import SharedMemory
register = resource_tracker.register
def slow(name, rtype):
    register(name, rtype)
    os.close(os.open("/dev/shm/cmp_test_stranger", os.O_CREAT, 0o600))
resource_tracker.register = slow
try:
    SharedMemory("cmp_test_stranger", create=True, size=1)
except FileExistsError:
    pass
else:
    raise AssertionError
""")
    os.unlink("/dev/shm/cmp_test_stranger")


def test_a_segment_that_goes_just_when_it_is_found():
    """Then nothing must be made: it would not be registered."""
    with mock.patch.object(_cmp, "segment_exists", lambda name: True), pytest.raises(FileExistsError) as caught:
        SharedMemory("cmp_test_gone", create=True, size=1)
    assert caught.value.filename == "/cmp_test_gone" and not exists("cmp_test_gone")


def test_a_name_that_is_used_again_while_those_that_are_gone_are_looked_for():
    memory = SharedMemory("cmp_test_again", create=True, size=1)
    looks = []

    def look(name):
        looks.append(resource_tracker._naming._is_owned())
        return len(looks) > 1 and exists(name)

    with mock.patch.object(_cmp, "segment_exists", look):
        resource_tracker._forget_gone()
    assert "/cmp_test_again" in resource_tracker._registered and looks[:2] == [False, True]
    memory.unlink()


def is_refused_the_naming_lock():
    pid = os.fork()
    if pid == 0:
        try:
            fcntl.lockf(resource_tracker.getfd(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            os._exit(1)
        except OSError:
            os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def test_naming_within_naming_leaves_the_outer_one_alone_in_the_family():
    """As a signal handler or __del__ may do it."""
    with resource_tracker.naming():
        assert is_refused_the_naming_lock()
        SharedMemory("cmp_test_within", create=True, size=1).unlink()
        assert is_refused_the_naming_lock()
    assert not is_refused_the_naming_lock()


def churn(name, ready):
    """Create, attach and unlink, until killed."""
    ready.set()
    turn = 0
    while True:
        turn += 1
        memory = SharedMemory(f"{name}{turn % 3}" if turn % 2 else None, create=True, size=1000)
        SharedMemory(memory.name).buf[5] = 5
        memory.close()
        memory.unlink()


CHURN = """
import sys, time
from test_segment_owners import churn
import cmp
from cmp import resource_tracker

if __name__ == "__main__":
    cmp.set_start_method(sys.argv[1])
    resource_tracker.ensure_running()
    for turn in range(int(sys.argv[2])):  # children killed at any moment, and then the whole family
        ready = cmp.Event()
        child = cmp.Process(target=churn, args=(f"cmp_test_child{turn}_", ready))
        child.start()
        ready.wait(20)
        time.sleep(0.0013 * turn)
        child.kill()
        child.join()
    print("now", flush=True)
    churn("cmp_test_family_", cmp.Event())
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_family_killed_at_any_moment_leaves_nothing(tmp_path, method):
    (tmp_path / "family.py").write_text(CHURN)
    before = set(os.listdir("/dev/shm"))
    for turn in range(5):
        process = subprocess.Popen([sys.executable, "family.py", method, str(turn)], cwd=tmp_path,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=WITH_TESTS)
        assert process.stdout.readline() == b"now\n"
        time.sleep(0.0037 * turn)
        process.send_signal(signal.SIGKILL)
        process.communicate()  # until its tracker has ended, too
        assert wait_until(lambda: set(os.listdir("/dev/shm")) <= before)


KILLED_AT = """
import ctypes, os, signal, struct, sys
from cmp import resource_tracker
from cmp.shared_memory import SharedMemory

CALLS = dict(write=1, close=3, fstat=5, lstat=6, mmap=9, fcntl=72, ftruncate=77, unlink=87, fstatfs=138, openat=257,
             newfstatat=262, unlinkat=263, fallocate=285)
libc = ctypes.CDLL(None)

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

def die_before(call):
    # Load its number; if it is that one, SECCOMP_RET_KILL_PROCESS, else SECCOMP_RET_ALLOW.
    steps = (0x20, 0, 0, 0), (0x15, 0, 1, CALLS[call]), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7fff0000)
    filter = b"".join(struct.pack("HBBI", *step) for step in steps)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Program(len(steps), filter)), 0, 0):
        os._exit(77)

def is_killed(call, use):
    pid = os.fork()
    if pid == 0:
        die_before(call)
        use()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 77:
        print("refused")
        sys.exit()
    assert status == 0 or os.WTERMSIG(status) == signal.SIGSYS, status
    return status != 0

resource_tracker.ensure_running()
theirs = SharedMemory("cmp_test_at", create=True, size=1000)
theirs.buf[:5] = b"there"
killed = set()
for call in CALLS:
    for number, options in enumerate(({}, {"reserve": True}, {"name": None})):
        name = f"cmp_test_at_{call}{number}"
        if is_killed(call, lambda: SharedMemory(**{"name": name, "create": True, "size": 5000, **options})):
            killed.add(("create", call))
    for options in ({}, {"reserve": True}):
        if is_killed(call, lambda: SharedMemory("cmp_test_at", **options)):
            killed.add(("attach", call))
    assert SharedMemory("cmp_test_at").buf[:5] == b"there"
    for name in (f"cmp_test_at_{call}", None):
        made = SharedMemory(name, create=True, size=1)
        if is_killed(call, made.unlink):
            killed.add(("unlink", call))
for what, calls in (("create", "write openat fstatfs ftruncate fallocate mmap"), ("attach", "openat fallocate mmap"),
                    ("unlink", "write")):
    assert {(what, call) for call in calls.split()} <= killed, killed
assert killed & {("unlink", "unlink"), ("unlink", "unlinkat")}
SharedMemory("cmp_test_at_more", create=True, size=1)  # no lock is held by the dead
print("killed", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the system calls are that machine's")
def test_killed_before_each_system_call(tmp_path):
    """Creating, attaching, unlinking: between two of them nothing happens that others see."""
    before = set(os.listdir("/dev/shm"))
    (tmp_path / "family.py").write_text(KILLED_AT)
    ran = subprocess.run([sys.executable, "family.py"], cwd=tmp_path, capture_output=True, text=True, timeout=50,
                         env=WITH_TESTS)
    if ran.stdout == "refused\n":
        pytest.skip("seccomp is not allowed here")
    assert ran.stdout == "killed\n", ran.stderr
    assert wait_until(lambda: set(os.listdir("/dev/shm")) <= before)


# SharedMemoryManager

def test_what_a_manager_handed_out_goes_at_its_shutdown(ctx):
    with cmp.managers.SharedMemoryManager(ctx=ctx) as manager:
        memory, numbers = manager.SharedMemory(100), manager.ShareableList([1, "two", b"3\0"])
        gone = manager.SharedMemory(100)
        assert type(memory) is SharedMemory and type(numbers) is cmp.shared_memory.ShareableList
        assert numbers[2] == b"3\0"
        names = [memory.name, gone.name, numbers.shm.name]
        assert all(map(exists, names))
        gone.unlink()  # by others than the manager: the rest goes none the less
    assert not any(map(exists, names))
    memory.buf[0] = 1  # the views stay
    numbers.shm.close()


@pytest.mark.parametrize("method", METHODS)
def test_managers_make_no_noise(tmp_path, method):
    program(tmp_path, """
from cmp.managers import SharedMemoryManager
with SharedMemoryManager() as manager:
    memory, numbers = manager.SharedMemory(10), manager.ShareableList(range(5))
    memory.close()
    manager.SharedMemory(10).unlink()
manager = SharedMemoryManager()
manager.start()
name = manager.SharedMemory(10).name
manager.shutdown()
assert not there(name)
""", method)


def test_a_killed_manager_leaves_it_to_the_tracker(tmp_path):
    told = program(tmp_path, """
from cmp.managers import SharedMemoryManager
manager = SharedMemoryManager()
manager.start()
print(manager.SharedMemory(10).name, flush=True)
os.kill(manager._process.pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
""", "fork", returncode=-9, silent=False)
    assert wait_until(lambda: not exists(told[0]))
