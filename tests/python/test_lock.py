"""Lock and RLock: who holds them, who may free them, what they show of themselves."""
import threading
import time
import weakref

import pytest
from crew import running, sleep_for_ever, wait_asleep

import cmp

BOTH = pytest.mark.parametrize("kind", ["Lock", "RLock"])


@pytest.fixture
def lock(kind):
    return getattr(cmp, kind)()


def in_thread(function, *args):
    """What the function returns, or raises, in another thread."""
    result = []

    def run():
        try:
            result.append(function(*args))
        except BaseException as error:
            result.append(error)
    thread = threading.Thread(target=run, name="Other")
    thread.start()
    thread.join()
    return result[0]


def is_free(lock):
    """Seen from another thread: there an RLock is held, too, if it is this one's."""
    def look():
        if lock.acquire(False):
            lock.release()
            return True
        return False
    return in_thread(look)


@BOTH
def test_held_and_free(lock):
    assert is_free(lock) and lock.locked() is False
    assert lock.acquire() is True
    assert not is_free(lock) and lock.locked() is True
    assert lock.release() is None
    assert is_free(lock) and lock.locked() is False


@BOTH
def test_with(lock):
    with lock as entered:
        assert entered is True
        assert not is_free(lock)
    assert is_free(lock)
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert is_free(lock)


@pytest.mark.parametrize(("args", "kwargs"), [
    ((False,), {}), ((True, 0), {}), ((True, 0.01), {}), ((True, -1), {}), ((False, 5), {}), ((0,), {}),
    ((), {"block": False}), ((), {"blocking": False}), ((), {"timeout": 0}), ((), {"block": True, "timeout": 0.01}),
    ((), {"blocking": True, "timeout": 0.01}), ((), {"blocking": False, "timeout": None}), ((True,), {"timeout": -3}),
])
@BOTH
def test_every_way_to_ask_without_waiting(lock, args, kwargs):
    assert lock.acquire(*args, **kwargs) is True
    assert in_thread(lambda: lock.acquire(*args, **kwargs)) is False
    lock.release()
    assert is_free(lock)


@pytest.mark.parametrize(("args", "kwargs"), [
    ((), {}), ((True,), {}), ((True, None), {}), ((1,), {}), ((), {"block": True}), ((), {"blocking": True}),
    ((), {"timeout": None}), ((), {"block": True, "timeout": 60}), ((True, 60.0), {}),
])
@BOTH
def test_every_way_to_wait(lock, args, kwargs):
    """The lock is freed by its holder while this thread waits."""
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(0.05)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert lock.acquire(*args, **kwargs) is True
    thread.join()
    assert not is_free(lock)
    lock.release()


@pytest.mark.parametrize(("args", "kwargs"), [
    ((1, 2, 3), {}), ((True,), {"block": True}), ((True,), {"blocking": True}), ((), {"block": 1, "blocking": 1}),
    ((True, 1), {"timeout": 1}), ((), {"wait": True}),
])
@BOTH
def test_what_acquire_does_not_take(lock, args, kwargs):
    with pytest.raises(TypeError):
        lock.acquire(*args, **kwargs)
    assert is_free(lock)


@BOTH
def test_release_takes_nothing(lock):
    lock.acquire()
    with pytest.raises(TypeError):
        lock.release(1)
    assert lock.locked()
    lock.release()


def test_a_lock_is_not_recursive():
    lock = cmp.Lock()
    assert lock.acquire()
    assert lock.acquire(False) is False
    assert lock.acquire(timeout=0.02) is False
    lock.release()
    assert is_free(lock)


def test_release_of_a_free_lock():
    lock = cmp.Lock()
    for _ in range(2):
        with pytest.raises(ValueError, match="semaphore or lock released too many times"):
            lock.release()
    assert is_free(lock)
    lock.acquire()
    lock.release()
    with pytest.raises(ValueError):
        lock.release()
    with pytest.raises(ValueError), lock:
        lock.release()
    assert is_free(lock)


def test_another_thread_may_release_a_lock():
    lock = cmp.Lock()
    lock.acquire()
    assert in_thread(lock.release) is None
    assert is_free(lock)


def test_an_rlock_is_recursive():
    lock = cmp.RLock()
    for depth in range(1, 6):
        assert lock.acquire(depth % 2 == 0) is True
        assert not is_free(lock)
    with lock:
        assert not is_free(lock)
    for _ in range(5):
        assert not is_free(lock)
        lock.release()
    assert is_free(lock)


def test_only_the_holding_thread_releases_an_rlock():
    lock = cmp.RLock()
    for _ in range(2):
        with pytest.raises(AssertionError, match="attempt to release recursive lock not owned by thread"):
            lock.release()
    lock.acquire()
    error = in_thread(lock.release)
    assert isinstance(error, AssertionError) and "not owned by thread" in str(error)
    lock.release()
    assert is_free(lock)


def test_deep_recursion():
    lock = cmp.RLock()
    for _ in range(100_000):
        lock.acquire()
    for _ in range(99_999):
        lock.release()
    assert lock.locked() and not is_free(lock)
    lock.release()
    assert is_free(lock)


def report(lock, results):
    results.put((lock.acquire(False), lock.acquire(timeout=0.05), lock.locked()))
    try:
        results.put(lock.release())
    except (AssertionError, ValueError) as error:
        results.put(type(error).__name__)


def test_a_lock_held_here_is_held_in_another_process(ctx):
    """... which may free it: a Lock serves as a signal between processes too."""
    lock, results = ctx.Lock(), ctx.SimpleQueue()
    lock.acquire()
    with running(ctx, report, lock, results):
        assert results.get() == (False, False, True)
        assert results.get() is None
    assert is_free(lock)


def test_an_rlock_held_here_is_held_in_another_process(ctx):
    """... which may not free it, a forked one neither."""
    lock, results = ctx.RLock(), ctx.SimpleQueue()
    lock.acquire()
    lock.acquire()
    with running(ctx, report, lock, results):
        assert results.get() == (False, False, True)
        assert results.get() == "AssertionError"
    lock.release()
    lock.release()
    assert is_free(lock)


def add(lock, counter, times):
    for _ in range(times):
        with lock:
            counter.value += 1


@BOTH
def test_mutual_exclusion_between_processes_and_threads(ctx, kind):
    lock, counter = getattr(ctx, kind)(), ctx.RawValue("q", 0)
    processes = [ctx.Process(target=add, args=(lock, counter, 2000)) for _ in range(3)]
    threads = [threading.Thread(target=add, args=(lock, counter, 2000)) for _ in range(3)]
    for worker in processes + threads:
        worker.start()
    for worker in processes + threads:
        worker.join()
    assert counter.value == 12_000
    assert [process.exitcode for process in processes] == [0] * 3


def take_turns(mine, theirs, times):
    """Two locks as signals: each side frees the lock that the other one has acquired."""
    for _ in range(times):
        mine.acquire()
        theirs.release()


def test_locks_as_signals(ctx):
    ping, pong = ctx.Lock(), ctx.Lock()
    ping.acquire()
    pong.acquire()
    with running(ctx, take_turns, ping, pong, 300) as process:
        for _ in range(300):
            ping.release()
            assert pong.acquire(timeout=30)
        process.join()
        assert process.exitcode == 0
    assert ping.locked() and pong.locked()


def wait_and_tell(lock, ready, told):
    ready.set()
    lock.acquire()
    told.put("got it")
    lock.release()


def test_a_waiter_that_sleeps_is_woken_by_the_release(ctx):
    lock, ready, told = ctx.Lock(), ctx.Event(), ctx.SimpleQueue()
    lock.acquire()
    with running(ctx, wait_and_tell, lock, ready, told) as process:
        assert ready.wait(30)
        wait_asleep(process)
        assert told.empty()
        lock.release()
        assert told.get() == "got it"
        process.join()


def shown(lock):
    return repr(lock)


def test_repr_of_a_lock(ctx):
    lock = ctx.Lock()
    assert repr(lock) == "<Lock(owner=None)>"
    with lock:
        assert repr(lock) == "<Lock(owner=MainProcess)>"
        assert in_thread(shown, lock) == "<Lock(owner=SomeOtherThread)>"
    in_thread(lock.acquire)
    assert repr(lock) == "<Lock(owner=SomeOtherThread)>"
    lock.release()

    def hold_and_show():
        with lock:
            return repr(lock)
    assert in_thread(hold_and_show) == "<Lock(owner=MainProcess|Other)>"
    assert repr(lock) == "<Lock(owner=None)>"


def test_repr_of_an_rlock(ctx):
    lock = ctx.RLock()
    assert repr(lock) == "<RLock(None, 0)>"
    with lock, lock:
        assert repr(lock) == "<RLock(MainProcess, 2)>"
        assert in_thread(shown, lock) == "<RLock(SomeOtherThread, nonzero)>"

    def hold_and_show():
        with lock:
            return repr(lock)
    assert in_thread(hold_and_show) == "<RLock(MainProcess|Other, 1)>"
    assert repr(lock) == "<RLock(None, 0)>"


def hold_and_tell_name(lock, told, go):
    with lock:
        told.put(cmp.current_process().name)
        told.put(repr(lock))
        go.wait()


@pytest.mark.parametrize(("kind", "mine", "others"), [
    ("Lock", "<Lock(owner={})>", "<Lock(owner=SomeOtherProcess)>"),
    ("RLock", "<RLock({}, 1)>", "<RLock(SomeOtherProcess, nonzero)>")])
def test_repr_names_another_process(ctx, kind, mine, others):
    lock, told, go = getattr(ctx, kind)(), ctx.SimpleQueue(), ctx.Event()
    with running(ctx, hold_and_tell_name, lock, told, go) as process:
        assert told.get() == process.name
        assert told.get() == mine.format(process.name)
        assert repr(lock) == others
        go.set()
        process.join()


class Numbered(cmp.synchronize.Lock):
    """A subclass with something of its own."""

    def __init__(self, number):
        super().__init__(ctx=cmp.get_context())
        self.number = number

    def acquire(self, *args, **kwargs):
        got = super().acquire(*args, **kwargs)
        self.number += got
        return got


class Deeper(cmp.synchronize.RLock):
    pass


def test_subclasses():
    lock = Numbered(3)
    assert lock.acquire() is True and lock.number == 4
    assert lock.acquire(False) is False and lock.number == 4
    lock.release()
    assert repr(lock) == "<Numbered(owner=None)>"
    assert isinstance(lock, cmp.synchronize.Lock)
    assert repr(Deeper(ctx=cmp.get_context())) == "<Deeper(None, 0)>"


@BOTH
def test_locks_are_objects_like_others(lock):
    lock.note = "attributes may be added"
    other = getattr(cmp, type(lock).__name__)()
    assert weakref.ref(lock)() is lock
    assert lock == lock and lock != other and len({lock, other, lock}) == 2
    assert lock.note == "attributes may be added" and not hasattr(other, "note")
    reference = weakref.ref(other)
    del other
    assert reference() is None


def test_classes_take_a_context():
    """As multiprocessing's do; it makes no difference which."""
    for kind in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event"):
        made = getattr(cmp.synchronize, kind)(ctx=cmp.get_context("spawn"))
        assert type(made) is getattr(cmp.synchronize, kind)


@BOTH
def test_bound_methods_live_on(lock):
    acquire, release = lock.acquire, lock.release
    del lock
    for _ in range(3):
        assert acquire()
        release()


def acquire_and_stay(lock, ready):
    lock.acquire()
    ready.set()
    sleep_for_ever()


def test_a_gate_of_a_killed_process_is_taken_over_long_afterwards():
    """Its place in the process table is another's by then."""
    ctx = cmp.get_context("fork")
    lock = ctx.Lock()
    for release in True, False:
        ready = ctx.Event()
        process = ctx.Process(target=acquire_and_stay, args=(lock, ready))
        process.start()
        assert ready.wait(30)
        if release:
            lock.release()  # from now on it is a gate
        process.kill()
        process.join()
    for _ in range(150):
        process = ctx.Process(target=int)
        process.start()
        process.join()
    with pytest.warns(cmp.OwnerDiedWarning):
        assert lock.acquire(timeout=10)
    lock.release()
