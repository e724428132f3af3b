"""One memory file, nothing else; an object lives as long as somebody can reach it, then its memory comes back."""
import ctypes
import fcntl
import gc
import os
import pickle
import re
import stat
import subprocess
import threading

import pytest
from crew import (
    KINDS,
    arena_bytes,
    arena_descriptor,
    hold_and_end,
    n_threads,
    open_descriptors,
    resident_bytes,
    run_program,
    running,
)

import cmp

EVERY = pytest.mark.parametrize("kind", KINDS)
MEBI = 1 << 20


@pytest.fixture(autouse=True)
def arena():
    cmp.Lock()


def mappings():
    with open("/proc/self/maps") as maps:
        return maps.read().splitlines()


# What an object costs

@EVERY
def test_nothing_but_memory(ctx, kind):
    """L6: no file, no named semaphore, no descriptor, no mapping, no thread, however many there are."""
    files, descriptors, threads, areas = os.listdir("/dev/shm"), open_descriptors(), n_threads(), len(mappings())
    made = [KINDS[kind](ctx) for _ in range(1000)]
    assert os.listdir("/dev/shm") == files
    assert open_descriptors() == descriptors
    assert n_threads() <= threads  # one of an earlier test may end meanwhile
    assert len(mappings()) <= areas + 3  # Python's own heap grows too
    assert len(made) == 1000


def count_all(told, made):
    told.put((len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), len(made)))


def test_nothing_but_memory_in_children(ctx):
    """The same number of descriptors for one object and for five hundred."""
    def counted(number):
        told = ctx.SimpleQueue()
        with running(ctx, count_all, told, [ctx.Lock() for _ in range(number)]) as process:
            descriptors, threads, got = told.get()
            process.join()
        process.close()
        told.close()
        assert got == number and threads == 1
        return descriptors
    assert counted(1) == counted(500)


def test_one_small_lock(tmp_path):
    """At most 128 bytes of arena for a Lock, all that goes with it included; the tables are made in steps."""
    printed = run_program(tmp_path, PROGRAM + """
keep = [cmp.Lock() for _ in range(100)]
before = arena()
keep += [cmp.Lock() for _ in range(100_000)]
print((arena() - before) / 100_000 <= 128)
""")
    assert printed == ["True"]


PROGRAM = """
import cmp, os
def arena():
    for name in os.listdir("/proc/self/fd"):
        if os.path.islink(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:cmp"):
            return os.fstat(int(name)).st_blocks * 512
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


# Made and dropped

@pytest.mark.limit(120)
def test_a_million_made_and_dropped(tmp_path):
    """Memory stays flat: that of the process and that of the arena. With CMP_STRESS, ten million."""
    number = 10_000_000 if os.environ.get("CMP_STRESS") else 1_000_000
    printed = run_program(tmp_path, PROGRAM + f"""
def churn(times):
    for _ in range(times):
        cmp.Lock()
churn({number} // 10)
arena_before, resident_before = arena(), resident()
churn({number})
print(arena() == arena_before, resident() - resident_before < 1 << 20, cmp.check())
""", timeout=100)
    assert printed == ["True True []"]


@EVERY
def test_every_kind_made_and_dropped(kind):
    for _ in range(2000):
        KINDS[kind](cmp)
    arena_before = arena_bytes()
    resident_before = resident_bytes()
    for _ in range(20_000):
        KINDS[kind](cmp)
    assert arena_bytes() == arena_before
    assert resident_bytes() - resident_before < 2 * MEBI


def test_many_at_once_made_and_dropped(tmp_path):
    """By the ten thousand, so that all lie in memory before the first is dropped."""
    printed = run_program(tmp_path, PROGRAM + """
def batch():
    made = [kind() for _ in range(4000) for kind in (cmp.Lock, cmp.Event, cmp.Semaphore, cmp.Condition)]
    del made
for _ in range(3):
    batch()
before = arena()
for _ in range(10):
    batch()
print(arena() - before <= 1 << 20, cmp.check())
""")
    assert printed == ["True []"]


@pytest.mark.limit(120)
def test_a_million_alive(tmp_path):
    """... that work, are inherited by a fork, and come back."""
    printed = run_program(tmp_path, PROGRAM + """
locks = [cmp.Lock() for _ in range(1_000_000)]
print(all(lock.acquire(False) for lock in locks[::1000]), any(lock.locked() for lock in locks[1::1000]))
if os.fork() == 0:
    held = sum(lock.locked() for lock in locks[::1000])
    os._exit(0 if held == 1000 and locks[1].acquire(False) and not locks[0].acquire(False) else 1)
print(os.wait()[1])
full = arena()
print(full <= 136_000_000)
locks.clear()
locks = [cmp.Lock() for _ in range(900_000)]
print(arena() <= full + (1 << 20), any(lock.locked() for lock in locks[::1000]))
""", timeout=100)
    assert printed == ["True False", "0", "True", "True False"]


# Who keeps it

def test_what_another_process_has_stays(ctx):
    """The creator has dropped it; the child has it still, and nobody else is given its cell."""
    ready, go, told = ctx.Event(), ctx.Event(), ctx.SimpleQueue()
    lock = ctx.Lock()
    lock.acquire()
    process = ctx.Process(target=hold_on, args=(lock, ready, go, told))
    process.start()
    process._args = ()
    del lock
    assert ready.wait(30)
    gc.collect()
    others = [ctx.Lock() for _ in range(300)]
    for other in others:
        assert other.acquire(False)
        other.release()
    go.set()
    assert told.get() is True
    process.join()
    assert process.exitcode == 0


def hold_on(lock, ready, go, told):
    ready.set()
    go.wait()
    told.put(lock.locked() and not lock.acquire(False))


def make_many_and_end(how, ready, number):
    made = [KINDS[kind](cmp) for _ in range(number) for kind in KINDS]
    if how == "pickled":
        assert all(pickle.dumps(one) for one in made)
        how = "SIGKILL"
    hold_and_end(made[0], how, 1, ready)


@pytest.mark.parametrize("how", ["SIGKILL", "_exit", "return", "exec", "pickled"])
def test_what_the_dead_had_comes_back(ctx, how):
    """Process after process ends with a thousand objects: the arena does not grow with their number."""
    sizes = []
    for _ in range(12):
        ready = ctx.Event()
        with running(ctx, make_many_and_end, how, ready, 150) as process:
            assert ready.wait(30)
            if how != "exec":
                process.join()
        sizes.append(arena_bytes())
    assert sizes[-1] <= sizes[3] + 4 * 65536, sizes
    assert cmp.check() == []


@pytest.mark.limit(200)
def test_forks_without_end(tmp_path):
    """The place of a process comes back as well. With CMP_STRESS, more forks than there are places."""
    number = 9000 if os.environ.get("CMP_STRESS") else 600
    printed = run_program(tmp_path, PROGRAM + f"""
import warnings
warnings.simplefilter("ignore", cmp.OwnerDiedWarning)
lock = cmp.Lock()
def forks(number):
    for turn in range(number):
        if (pid := os.fork()) == 0:
            with lock:
                os._exit(0)
        if os.waitpid(pid, 0)[1]:
            print("failed")
forks(200)  # more than the places that are made at a time
before = arena()
forks({number})
print(lock.acquire(False), arena() <= before, cmp.check())
""", timeout=190)
    assert printed == ["True True []"]


def test_a_cycle_with_a_lock_is_collected():
    """An object of Python that holds itself does not keep its lock for ever."""
    def batch():
        for _ in range(2000):
            lock, event = cmp.Lock(), cmp.Event()
            lock.event, event.lock = event, lock
        gc.collect()
    for _ in range(3):
        batch()
    before = arena_bytes()
    for _ in range(5):
        batch()
    assert arena_bytes() <= before + 65536


def test_a_raising_start_and_terminated_children():
    """Children killed while they come into being give back what was meant for them."""
    for method in ("fork", "spawn", "forkserver"):
        ctx = cmp.get_context(method)
        sizes = []
        for turn in range(8):
            process = ctx.Process(target=print, args=([ctx.Lock() for _ in range(500)],))
            process.start()
            process.kill() if turn % 2 else process.terminate()
            process.join()
            process._args = ()
            del process
            sizes.append(arena_bytes())
        assert sizes[-1] <= sizes[2] + 4 * 65536, (method, sizes)
    assert cmp.check() == []


def test_threads_make_and_drop():
    errors = []

    def churn():
        try:
            for _ in range(2000):
                with cmp.Lock():
                    pass
        except BaseException as error:
            errors.append(error)
    sizes = []
    for _ in range(3):
        threads = [threading.Thread(target=churn) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sizes.append(arena_bytes())
    assert not errors and sizes[2] <= sizes[0] + 65536
    assert cmp.check() == []


# The file

def test_the_file_is_private():
    """Owner only, closed by exec, never shrunk; not in core dumps."""
    descriptor = arena_descriptor()
    status = os.fstat(descriptor)
    assert stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == os.getuid() and status.st_nlink == 0
    assert not os.get_inheritable(descriptor)
    seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    assert seals & fcntl.F_SEAL_SHRINK and seals & fcntl.F_SEAL_SEAL
    with pytest.raises(OSError):
        os.ftruncate(descriptor, 4096)
    with open("/proc/self/smaps") as smaps:
        flags = re.findall(r"memfd:cmp.*?VmFlags:([^\n]*)", smaps.read(), re.DOTALL)
    assert flags and all(" dd " in f"{line} " for line in flags)


def tell_file(told, lock):
    told.put(os.fstat(arena_descriptor())[:3])


def test_one_file_for_the_family(ctx):
    told = ctx.SimpleQueue()
    with running(ctx, tell_file, told, ctx.Lock()) as process:
        assert told.get() == os.fstat(arena_descriptor())[:3]
        process.join()


def test_made_with_the_first_object_or_the_first_fork(tmp_path):
    """Whichever comes first, the children and their parent are one family."""
    assert run_program(tmp_path, """
import cmp, os, pickle, signal, time, warnings
def files():
    return [n for n in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{n}")
            and "memfd:cmp" in os.readlink(f"/proc/self/fd/{n}")]
if __name__ == "__main__":
    print(len(files()))
    here, there = os.pipe()
    if (child := os.fork()) == 0:
        lock = cmp.Lock()
        lock.acquire()
        os.write(there, pickle.dumps(lock))
        time.sleep(100)
    lock = pickle.loads(os.read(here, 10_000))
    print(len(files()), lock.acquire(False))
    os.kill(child, signal.SIGKILL)
    os.wait()
    warnings.simplefilter("ignore")
    print(lock.acquire(timeout=30))
""") == ["0", "1 False", "True"]


def test_nothing_is_left_after_sigkill(tmp_path):
    """Of a whole family: no file, no semaphore."""
    before = set(os.listdir("/dev/shm"))
    run_program(tmp_path, """
import cmp, os, signal
def child(*made):
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    os.setpgid(0, 0)
    made = [cmp.Lock(), cmp.Event(), cmp.Barrier(3), cmp.Condition(), cmp.Semaphore(9)]
    for method in ("fork", "spawn"):
        cmp.get_context(method).Process(target=child, args=made).start()
    os.killpg(0, signal.SIGKILL)
""", returncode=-9, silent=False)
    assert set(os.listdir("/dev/shm")) == before


def test_no_descriptor_of_it_in_other_programs():
    """They are closed on exec."""
    out = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False)
    assert "memfd:cmp" not in out.stdout


def test_closed_by_somebody_who_closes_everything(tmp_path):
    """Daemons close all descriptors: what is there goes on to work, in forked children too; more is one clear error."""
    assert run_program(tmp_path, """
import cmp, os, warnings
warnings.simplefilter("ignore")
lock, event = cmp.Lock(), cmp.Event()
os.closerange(3, 1000)
with lock:
    event.set()
if os.fork() == 0:
    lock.acquire()
    os.kill(os.getpid(), 9)
os.wait()
print(lock.acquire(timeout=30), event.is_set(), cmp.check())
try:
    more = [cmp.Lock() for _ in range(200_000)]
except OSError as error:
    print("shared memory" in str(error))
else:
    print(True)
lock.release()
print(lock.acquire(False))
""") == ["True True []", "True", "True"]


def test_dup2_over_it(tmp_path):
    """Its number may be somebody else's file by now, which must not be touched."""
    assert run_program(tmp_path, """
import cmp, os
lock = cmp.Lock()
for n in os.listdir("/proc/self/fd"):
    if os.path.islink(f"/proc/self/fd/{n}") and "memfd:cmp" in os.readlink(f"/proc/self/fd/{n}"):
        with open("victim", "wb") as file:
            os.dup2(file.fileno(), int(n))
try:
    more = [cmp.Lock() for _ in range(200_000)]
    print(len(more) == 200_000)
except OSError as error:
    print(True)
print(os.stat("victim").st_size, lock.acquire(False))
""") == ["True", "0 True"]


def test_many_threads_come_and_go():
    """Each thread that has used a lock leaves nothing behind."""
    lock = cmp.Lock()

    def use():
        with lock:
            pass
    for turn in range(600):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        if turn == 100:
            descriptors, memory = open_descriptors(), arena_bytes()
    assert open_descriptors() == descriptors and arena_bytes() == memory


def test_raw_clone():
    """A fork behind libc's back (the bare system call): its locks may not work, its parent's must."""
    number = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
    if number is None:
        pytest.skip("no number of clone for this machine")
    lock = cmp.Lock()
    pid = ctypes.CDLL(None).syscall(number, 17, 0, 0, 0, 0)  # SIGCHLD
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with lock:
        assert lock.locked()
    assert cmp.check() == []
