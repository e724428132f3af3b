"""cmp in several interpreters of one process, each of which imports it for itself.

Starting processes from a subinterpreter is not tested: what of it is allowed is CPython's decision. Nor is a fork while
a subinterpreter lives: in CPython 3.12 to 3.15 the child of a bare os.fork() hangs or crashes then.
"""
import sys

import pytest
from crew import run_program

pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")

# run(text): the text in a subinterpreter of its own, or in the one that is given; what it raises ends the program.
BEGIN = """
import sys, threading
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

def run(text, one=None):
    new = interpreters.create() if one is None else one
    failed = interpreters.run_string(new, text)
    assert failed is None, failed
    if one is None:
        interpreters.destroy(new)

USE = '''
import cmp
lock, rlock, semaphore, event = cmp.Lock(), cmp.RLock(), cmp.Semaphore(2), cmp.Event()
condition, barrier, block = cmp.Condition(), cmp.Barrier(1), cmp._cmp.Block(1000, True)
for _ in range(100):
    with lock, rlock, semaphore, condition:
        event.set()
        condition.notify_all()
    assert event.wait() and barrier.wait() == 0 and cmp.Lock().acquire()
assert bytes(block) == bytes(1000) and cmp.check() == []
'''
"""


def run_text(folder, text, **options):
    return run_program(folder, BEGIN + text, **options)


def test_imported_while_main_uses_a_lock(tmp_path):
    """Main's threads and another process count under one lock while three interpreters at once import cmp."""
    assert run_text(tmp_path, """
import cmp

N = 20_000

def count(lock, numbers):
    for _ in range(N):
        with lock:
            value = int.from_bytes(numbers, "little")
            numbers[:] = (value + 1).to_bytes(8, "little")

def import_it():
    for _ in range(4):
        run(USE)

lock, numbers = cmp.Lock(), memoryview(cmp._cmp.Block(8, True))
process = cmp.get_context("fork").Process(target=count, args=(lock, numbers))
process.start()
threads = [threading.Thread(target=count, args=(lock, numbers)) for _ in range(2)]
threads += [threading.Thread(target=import_it) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in [*threads, process]:
    thread.join()
print(int.from_bytes(numbers, "little") == 3 * N, process.exitcode, cmp.check())
""") == ["True 0 []"]


def test_imported_before_main_does(tmp_path):
    """The family's memory and the hooks of this process come from an interpreter that is gone."""
    assert run_text(tmp_path, """
run(USE)
run(USE)
import cmp, os
def child(lock, event):
    event.set()
    print(lock.acquire(False), flush=True)
lock, event = cmp.Lock(), cmp.Event()
with lock:
    process = cmp.get_context("fork").Process(target=child, args=(lock, event))
    process.start()
    process.join()
try:
    os.execv("/nowhere", ["nowhere"])
except FileNotFoundError:
    print(event.is_set(), lock.acquire(False), cmp.check())
""") == ["False", "True True []"]


def test_one_lock_in_two_interpreters(tmp_path):
    """A pickle takes it there, within the process; the interpreter ends, and the lock is the process's as before."""
    assert run_text(tmp_path, """
import cmp, pickle
lock, semaphore = cmp.Lock(), cmp.Semaphore(0)
run(f'''
import pickle
lock, semaphore = pickle.loads({pickle.dumps((lock, semaphore))})
lock.acquire()
semaphore.release()
''')
print(lock.locked(), semaphore.get_value())
lock.release()
one = interpreters.create()
run(f'import pickle; lock, semaphore = pickle.loads({pickle.dumps((lock, semaphore))})', one)
waiter = threading.Thread(target=run, args=('lock.acquire()\\nwith semaphore: semaphore.acquire()', one))
with lock:
    waiter.start()
semaphore.release()
waiter.join()
print(lock.locked(), semaphore.get_value(), cmp.check())
interpreters.destroy(one)
lock.release()
print(lock.acquire(False), cmp.check())
""") == ["True 1", "True 1 []", "True []"]


def test_alive_when_the_process_ends(tmp_path):
    """An interpreter that main leaves behind, with objects of all kinds and a lock that it holds."""
    run_text(tmp_path, """
import cmp
run(USE + 'lock.acquire()', interpreters.create())
""", silent=False)  # 3.14 warns that the interpreter remains


def test_its_end_is_not_the_end_of_the_process(tmp_path):
    """A process that is killed after an interpreter of it ended did not end in order. That is asked where a lock was
    released by a process that did not hold it; so it is taken over."""
    assert run_text(tmp_path, """
import cmp, os, signal, warnings

def die(lock):
    lock.release()
    lock.acquire()
    run(USE)
    os.kill(os.getpid(), signal.SIGKILL)

lock = cmp.Lock()
lock.acquire()
process = cmp.get_context("fork").Process(target=die, args=(lock,))
process.start()
process.join()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(lock.acquire(timeout=10), [warning.category.__name__ for warning in caught])
""") == ["True ['OwnerDiedWarning']"]


def test_a_stream_beside_other_interpreters(tmp_path):
    """Each has a pipe of its own in the family, and is destroyed with messages in it; main sends all the time."""
    assert run_text(tmp_path, """
import cmp
from cmp import connection
STREAM = '''
import cmp
from cmp import connection
a, b = connection.Pipe()
for i in range(300):
    value = {"i": i, "x": bytes(i * 331 % 60_000), "e": ValueError(i)}
    a.send(value)
    got = b.recv()
    assert got["i"] == i and got["x"] == value["x"] and got["e"].args == (i,)
    b.send_bytes(got["x"][:1000])
    assert a.poll() and len(a.recv_bytes()) == min(len(value["x"]), 1000)
a.send([1, bytes(200_000)])
assert cmp.check() == []
'''
a, b = connection.Pipe()
stop, got = threading.Event(), []
def send():
    number = 0
    while not stop.is_set():
        a.send((number, bytes(number * 97 % 40_000)))
        number += 1
    a.send(None)
def receive():
    for message in iter(b.recv, None):
        assert message == (len(got), bytes(len(got) * 97 % 40_000))
        got.append(None)
streams = [threading.Thread(target=one) for one in (send, receive)]
others = [threading.Thread(target=run, args=(STREAM,)) for _ in range(3)]
for thread in streams + others:
    thread.start()
for thread in others:
    thread.join()
stop.set()
for thread in streams:
    thread.join()
print(len(got) > 0, b.poll(), cmp.check())
""") == ["True False []"]
