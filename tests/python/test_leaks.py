"""No method leaks: not memory, not references, not descriptors, not threads, on success and on every error.

Each public method of each type is called a thousand times in each way that LEAKS lists, and one that is not listed
fails test_every_method_is_listed.
"""
import gc
import math
import os
import pickle
import sys
import threading
import warnings

import pytest
from crew import KINDS, arena_bytes, n_threads, open_descriptors

import cmp
from conftest import wait_until

WARM, TURNS = 300, 1000


def raises(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (TypeError, ValueError, AssertionError, RuntimeError, KeyError, AttributeError):
        return
    raise AssertionError(f"{function} did not raise")


class Bad:
    """A number that raises."""

    def __float__(self):
        raise KeyError


def bad_timeouts(wait):
    for value in (math.nan, "1", Bad(), [1], 1j):
        raises(wait, value)


def acquire_twice(lock):
    """Once with success and once without; for an RLock both times with."""
    assert lock.acquire()
    if lock.acquire(timeout=0):
        lock.release()
    lock.acquire(block=False) and lock.release()
    lock.acquire(blocking=False) and lock.release()
    lock.release()


def bad_acquires(lock):
    raises(lock.acquire, 1, 2, 3)
    raises(lock.acquire, nonsense=1)
    raises(lock.acquire, True, block=True)
    bad_timeouts(lambda value: lock.acquire(True, value))
    bad_timeouts(lambda value: lock.acquire(timeout=value))


def time_out(lock):
    """A wait that is over without success."""
    result = []
    lock.acquire()
    thread = threading.Thread(target=lambda: result.append(lock.acquire(timeout=1e-6)))
    thread.start()
    thread.join()
    lock.release()
    assert result == [False]


def enter(lock):
    with lock:
        pass
    try:
        with lock:
            raise KeyError
    except KeyError:
        pass


def wait_for(condition):
    with condition:
        condition.wait_for(lambda: True)
        condition.wait_for(lambda: False, 0)
        raises(condition.wait_for, lambda: {}[1])
        raises(condition.wait_for)
    raises(condition.wait_for, lambda: False)


def wait_on(condition):
    with condition:
        condition.wait(0)
        condition.wait(timeout=1e-6)
        bad_timeouts(condition.wait)
    raises(condition.wait)


def notify(condition):
    with condition:
        condition.notify()
        condition.notify(n=3)
        raises(condition.notify, "1")
    raises(condition.notify)


def notify_all(condition):
    with condition:
        condition.notify_all()
    raises(condition.notify_all)


def event_wait(event):
    event.wait(0)
    event.wait(1e-6)
    event.set()
    event.wait()
    event.clear()
    bad_timeouts(event.wait)
    raises(event.wait, 1, 2)


def barrier_wait(barrier):
    raises(barrier.wait, 0)
    raises(barrier.wait)
    barrier.reset()
    bad_timeouts(barrier.wait)
    cmp.Barrier(1, lambda: None).wait()
    raises(cmp.Barrier(1, lambda: {}[1]).wait)


def travel(made):
    pickle.loads(pickle.dumps(made))


def bad_states(made):
    state = made.__reduce__()[2]
    for forged in (None, (), (1, 2, 3), (state[0], 2**64, *state[2:]), (b"x" * 16, *state[1:]),
                   (state[0], state[1] ^ 1 << 60, *state[2:])):
        raises(type(made).__new__(type(made)).__setstate__, forged)
    raises(made.__setstate__, state)


def create(made):
    kind = type(made).__name__
    KINDS[kind](cmp)
    raises(type(made), nonsense=1)
    raises(type(made), *[1] * 9)
    raises(made.__init__, *[3] * (kind == "Barrier"), ctx=None)


LOCK = {
    "acquire": [acquire_twice, bad_acquires], "release": [acquire_twice], "locked": [lambda lock: lock.locked()],
    "__enter__": [enter], "__exit__": [enter],
    "owner_died": [lambda lock: lock.owner_died, lambda lock: raises(setattr, lock, "owner_died", 1)],
    "mark_consistent": [lambda lock: lock.mark_consistent()],
}
SEMAPHORE = {
    "acquire": [acquire_twice, bad_acquires],
    "release": [lambda semaphore: (semaphore.acquire(), semaphore.release(1), raises(semaphore.release, 0),
                                   raises(semaphore.release, "1"))],
    "locked": [lambda semaphore: semaphore.locked()], "get_value": [lambda semaphore: semaphore.get_value()],
    "__enter__": [enter], "__exit__": [enter],
}
LEAKS = {
    "Lock": {**LOCK, "release": [acquire_twice, lambda lock: raises(lock.release)]},
    "RLock": {**LOCK, "release": [acquire_twice, lambda lock: raises(lock.release)]},
    "Semaphore": SEMAPHORE,
    "BoundedSemaphore": {**SEMAPHORE, "release": [*SEMAPHORE["release"], lambda semaphore: raises(semaphore.release)]},
    "Event": {
        "is_set": [lambda event: event.is_set()], "set": [lambda event: event.set()],
        "clear": [lambda event: event.clear()], "wait": [event_wait],
    },
    "Condition": {
        "acquire": [acquire_twice, bad_acquires], "release": [acquire_twice, lambda made: raises(made.release)],
        "__enter__": [enter], "__exit__": [enter], "wait": [wait_on], "wait_for": [wait_for], "notify": [notify],
        "notify_all": [notify_all],
    },
    "Barrier": {
        "wait": [barrier_wait], "reset": [lambda barrier: barrier.reset()], "abort": [lambda barrier: barrier.abort()],
        "parties": [lambda barrier: barrier.parties], "n_waiting": [lambda barrier: barrier.n_waiting],
        "broken": [lambda barrier: barrier.broken],
    },
}
ALL = {"__init__": [create], "__repr__": [repr], "__reduce__": [travel],
       "__getstate__": [lambda made: made.__getstate__()],
       "__setstate__": [bad_states], "__del__": [create],
       "attributes": [lambda made: (setattr(made, "note", [1]), made.note, delattr(made, "note"))]}
CASES = [(kind, name, number) for kind in KINDS for name, ways in {**LEAKS[kind], **ALL}.items()
         for number in range(len(ways))]


def blocks_lost(way, made, turns):
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(turns):
        way(made)
    gc.collect()
    return sys.getallocatedblocks() - before


@pytest.mark.parametrize(("kind", "name", "number"), CASES)
def test_method(kind, name, number):
    way, made = {**LEAKS[kind], **ALL}[name][number], KINDS[kind](cmp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(WARM):
            way(made)
        gc.collect()
        shared = [made, type(made), type(made).__mro__[1], cmp._cmp]
        before = [sys.getrefcount(one) for one in shared]
        memory, descriptors, threads = arena_bytes(), open_descriptors(), n_threads()
        lost = min(blocks_lost(way, made, TURNS) for _ in range(3))
    assert lost < TURNS / 20, f"{lost} blocks of memory in {TURNS} calls"
    for one, count in zip(shared, before, strict=True):
        assert abs(sys.getrefcount(one) - count) < TURNS / 20, one  # too few is as bad as too many
    assert arena_bytes() <= memory and open_descriptors() == descriptors
    assert wait_until(lambda: n_threads() <= threads)


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"])
def test_a_wait_that_is_over_without_success(kind):
    """... in a thread, which itself leaves nothing either."""
    made = KINDS[kind](cmp)
    for _ in range(50):
        time_out(made)
    before, descriptors = sys.getrefcount(made), open_descriptors()
    lost = min(blocks_lost(time_out, made, 200) for _ in range(3))
    assert lost < 50 and abs(sys.getrefcount(made) - before) < 10
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_is_listed(kind):
    """Whatever our own classes have, native or not, is called above."""
    own = [base for base in type(KINDS[kind](cmp)).__mro__ if base.__module__ in ("cmp._cmp", "cmp.synchronize")]
    public = {name for base in own for name, value in vars(base).items()
              if not name.startswith("_") or (callable(value) and name.startswith("__"))}
    public -= {"__new__", "__class_getitem__", "__init_subclass__", "__getattribute__", "__doc__"}
    assert public - {*LEAKS[kind], *ALL} == set()


def test_functions_of_the_module():
    for function in (cmp.check,):
        for _ in range(20):
            function()
        assert min(blocks_lost(lambda _, function=function: function(), None, 100) for _ in range(3)) < 20


def test_a_take_over_and_its_warning():
    """The whole way, also with the warning as an error."""
    lock = cmp.Lock()

    def once(action):
        if (pid := os.fork()) == 0:
            lock.acquire()
            os._exit(0)
        os.waitpid(pid, 0)
        with warnings.catch_warnings():
            warnings.simplefilter(action, cmp.OwnerDiedWarning)
            try:
                lock.acquire()
                lock.release()
            except cmp.OwnerDiedWarning:
                pass
        lock.mark_consistent()
    for action in ("ignore", "error"):
        for _ in range(20):
            once(action)
        lost = min(blocks_lost(once, action, 30) for _ in range(3))
        assert lost < 30, action
