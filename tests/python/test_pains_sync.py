"""Each pain of users of multiprocessing's primitives, as its issue shows it, by a program of its own.

The rows of `pains.md`, section 3, in its order. The details are tested where the primitive is; here stands what a user
would try first, for each start method, with a limit: under the standard library most of these hang.
"""
import os
import subprocess
import sys
import sysconfig

import pytest
from crew import run_program

import cmp


def test_l1_lock_held_by_a_dead_process(tmp_path, method):
    """gh-88304, birdnet#73, LightRAG#3413, trio-parallel#25, pebble#163."""
    assert run_program(tmp_path, """
import cmp, os, sys, warnings
def die_with(*locks):
    for lock in locks:
        lock.acquire()
    os._exit(1)
if __name__ == "__main__":
    ctx = cmp.get_context(sys.argv[1])
    locks = ctx.Lock(), ctx.RLock()
    semaphore = ctx.Semaphore(2)
    process = ctx.Process(target=die_with, args=locks)
    process.start()
    process.join()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        print([lock.acquire() for lock in locks], [w.category.__name__ for w in caught])
    print([lock.owner_died for lock in locks])
""", method) == ["[True, True] ['OwnerDiedWarning', 'OwnerDiedWarning']", "[True, True]"]


def test_l2_set_and_notify_after_a_waiter_was_killed(tmp_path, method):
    """gh-75158: hangs for ever."""
    assert run_program(tmp_path, """
import cmp, os, signal, sys, time
def wait_event(event, ready):
    ready.release()
    event.wait()
def wait_condition(condition, ready):
    with condition:
        ready.release()
        condition.wait()
if __name__ == "__main__":
    ctx = cmp.get_context(sys.argv[1])
    event, condition, ready = ctx.Event(), ctx.Condition(), ctx.Semaphore(0)
    processes = [ctx.Process(target=wait_event, args=(event, ready)),
                 ctx.Process(target=wait_condition, args=(condition, ready))]
    for process in processes:
        process.start()
    for process in processes:
        ready.acquire()
    with condition:
        pass
    time.sleep(0.1)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    event.set()
    with condition:
        condition.notify_all()
    print(event.wait(), "and all goes on")
""", method) == ["True and all goes on"]


def test_l3_barrier_with_a_dead_party(tmp_path, method):
    """gh-123899: the others hang in spite of their timeout."""
    assert run_program(tmp_path, """
import cmp, sys, threading, time
def wait(barrier):
    barrier.wait()
if __name__ == "__main__":
    ctx = cmp.get_context(sys.argv[1])
    barrier = ctx.Barrier(2)
    process = ctx.Process(target=wait, args=(barrier,))
    process.start()
    while barrier.n_waiting < 1:
        time.sleep(0.01)
    process.kill()
    process.join()
    try:
        barrier.wait(timeout=40)
    except threading.BrokenBarrierError:
        print("broken", barrier.n_waiting)
""", method) == ["broken 0"]


def test_l4_event_in_a_signal_handler(tmp_path):
    """gh-126434, gh-85772: set() from a handler amidst is_set() or wait(); gh-95826: wait() that missed a pulse."""
    assert run_program(tmp_path, """
import cmp, os, signal, threading, time
event, handled = cmp.Event(), []
def handler(signum, frame):
    event.set()
    handled.append(event.is_set())
signal.signal(signal.SIGUSR1, handler)
def send():
    for _ in range(300):
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.0005)
thread = threading.Thread(target=send)
thread.start()
while thread.is_alive():
    event.is_set()
    event.wait(0.0003)
    event.clear()
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
event.clear()
print(event.wait(), all(handled))
""") == ["True True"]


def test_l5_timeouts(tmp_path):
    """inf and 1e19 are OSError there, Decimal a TypeError. (The wall clock: test_waits.py.)"""
    assert run_program(tmp_path, """
import cmp, decimal, fractions, threading
event, lock = cmp.Event(), cmp.Lock()
for timeout in (float("inf"), 1e19, decimal.Decimal("1e30"), 10**30):
    event.clear()
    threading.Timer(0.02, event.set).start()
    lock.acquire()
    threading.Timer(0.02, lock.release).start()
    print(event.wait(timeout), lock.acquire(timeout=timeout))
    lock.release()
event.clear()
print(event.wait(fractions.Fraction(1, 100)), event.wait(decimal.Decimal("0.01")))
for wrong in (float("nan"), "5"):
    try:
        lock.acquire(timeout=wrong)
    except (TypeError, ValueError) as error:
        print(repr(wrong) in str(error))
""") == ["True True"] * 4 + ["False False", "True", "True"]


def test_l6_many_locks_and_nothing_left(tmp_path, method):
    """gh-98268, gh-75491, billiard#293, pebble#160: a file in /dev/shm per lock, left after a SIGKILL of the tree."""
    before = set(os.listdir("/dev/shm"))
    printed = run_program(tmp_path, """
import cmp, os, signal, sys
def child(locks, ready):
    ready.set()
    locks[-1].acquire()
if __name__ == "__main__":
    os.setpgid(0, 0)
    ctx = cmp.get_context(sys.argv[1])
    locks, ready = [ctx.Lock() for _ in range(20_000)], ctx.Event()
    before = len(os.listdir("/proc/self/fd"))
    locks += [ctx.Lock() for _ in range(80_000)]
    print(len(os.listdir("/proc/self/fd")) == before, flush=True)
    locks[-1].acquire()
    ctx.Process(target=child, args=(locks[-1000:], ready)).start()
    ready.wait()
    os.killpg(0, signal.SIGKILL)
""", method, returncode=-9, silent=False)
    assert printed == ["True"]
    assert set(os.listdir("/dev/shm")) == before


def test_l7_temporary_objects_as_arguments(tmp_path, method):
    """gh-94765: FileNotFoundError in the child."""
    assert run_program(tmp_path, """
import cmp, sys
def child(lock, rlock, semaphore, event, condition, barrier, value):
    with lock, rlock, semaphore, condition, value.get_lock():
        event.set()
        barrier.wait()
        print("all there", flush=True)
if __name__ == "__main__":
    ctx = cmp.get_context(sys.argv[1])
    def start():
        process = ctx.Process(target=child, args=(ctx.Lock(), ctx.RLock(), ctx.Semaphore(), ctx.Event(),
                                                  ctx.Condition(), ctx.Barrier(1), ctx.Value("i")))
        process.start()
        return process.pid
    start()
    for process in cmp.active_children():
        process.join()
""", method) == ["all there"]


@pytest.mark.parametrize("maker", ["fork", "spawn", "forkserver"])
def test_l8_objects_of_another_context(tmp_path, method, maker):
    """gh-119413 (a crash), gh-107275 (a RuntimeError), gh-125738."""
    assert run_program(tmp_path, """
import cmp, sys
def child(lock, condition):
    with lock, condition:
        print("fine", flush=True)
if __name__ == "__main__":
    other = cmp.get_context(sys.argv[2])
    process = cmp.get_context(sys.argv[1]).Process(target=child, args=(other.Lock(), other.Condition()))
    process.start()
    process.join()
    print(process.exitcode)
""", method, maker) == ["fine", "0"]


def test_l9_as_in_threading():
    """Semaphore.release(n), blocking=, locked()."""
    semaphore, lock = cmp.Semaphore(0), cmp.Lock()
    semaphore.release(3)
    assert semaphore.get_value() == 3 and semaphore.acquire(blocking=False) and not semaphore.locked()
    assert lock.acquire(blocking=True) and not lock.acquire(blocking=False) and lock.locked()


def test_l10_free_threading(tmp_path):
    """gh-117435: on such a build the import does not switch the GIL on."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python always has its GIL")
    assert run_program(tmp_path, "import sys, cmp\ncmp.Lock()\nprint(sys._is_gil_enabled())") == ["False"]


SUBINTERPRETER = """
import cmp
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
lock = cmp.Lock()
lock.acquire()
for _ in range(3):
    one = interpreters.create()
    failed = interpreters.run_string(one, '''
import cmp
lock, event = cmp.Lock(), cmp.Event()
with lock:
    event.set()
assert lock.acquire(False) and event.wait(1) and cmp.check() == []
''')
    print(failed)
    interpreters.destroy(one)
print(lock.acquire(False), cmp.check())
"""


def test_l10_subinterpreters(tmp_path):
    ran = subprocess.run([sys.executable, "-c", SUBINTERPRETER], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "False []"
