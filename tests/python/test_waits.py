"""What all waits have in common: which timeouts they take, on which clock, and that they hold up nobody else."""
import ctypes
import decimal
import fractions
import math
import shutil
import subprocess
import sys
import sysconfig
import threading
import time

import pytest
from crew import go_on, run_program, running, stop, wait_asleep

import cmp
from conftest import wait_until


class Wait:
    """One kind of wait that does not end by itself: wait(timeout) -> what came; end() lets it end well."""

    def __init__(self, ctx=cmp):
        self.made = self.make(ctx)

    def timed_out(self, timeout):
        """Wait and see that nothing came."""
        assert self.wait(timeout) is False


class LockWait(Wait):
    def make(self, ctx):
        lock = ctx.Lock()
        lock.acquire()
        return lock

    def wait(self, timeout=None):
        return self.made.acquire(timeout=timeout)

    def end(self):
        self.made.release()


class RLockWait(LockWait):
    """The lock is another thread's, which ends the wait."""

    def make(self, ctx):
        lock = ctx.RLock()
        self.let_go, held = threading.Event(), threading.Event()

        def hold():
            with lock:
                held.set()
                self.let_go.wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        return lock

    def end(self):
        self.let_go.set()


class SemaphoreWait(LockWait):
    def make(self, ctx):
        return ctx.Semaphore(0)


class LargeSemaphoreWait(SemaphoreWait):
    """More permits than have owners."""

    def make(self, ctx):
        semaphore = ctx.Semaphore(100)
        for _ in range(100):
            semaphore.acquire()
        return semaphore


class BoundedSemaphoreWait(SemaphoreWait):
    def make(self, ctx):
        semaphore = ctx.BoundedSemaphore(1)
        semaphore.acquire()
        return semaphore


class EventWait(Wait):
    def make(self, ctx):
        return ctx.Event()

    def wait(self, timeout=None):
        return self.made.wait(timeout)

    def end(self):
        self.made.set()


class ConditionWait(Wait):
    def make(self, ctx):
        return ctx.Condition()

    def wait(self, timeout=None):
        with self.made:
            return self.made.wait(timeout)

    def end(self):
        wait_until(self.made._n_waiting)  # a notify comes too early where nobody waits yet
        with self.made:
            self.made.notify_all()


class ConditionOnLockWait(ConditionWait):
    def make(self, ctx):
        return ctx.Condition(ctx.Lock())


class WaitForWait(ConditionWait):
    def make(self, ctx):
        self.fulfilled = ctx.RawValue("b", 0)
        return ctx.Condition()

    def wait(self, timeout=None):
        with self.made:
            return bool(self.made.wait_for(lambda: self.fulfilled.value, timeout))

    def end(self):
        with self.made:
            self.fulfilled.value = 1
            self.made.notify()


class BarrierWait(Wait):
    def make(self, ctx):
        return ctx.Barrier(2)

    def wait(self, timeout=None):
        return self.made.wait(timeout) in (0, 1)

    def end(self):
        self.made.wait()

    def timed_out(self, timeout):
        with pytest.raises(threading.BrokenBarrierError):
            self.made.wait(timeout)
        self.made.reset()


WAITS = [LockWait, RLockWait, SemaphoreWait, LargeSemaphoreWait, BoundedSemaphoreWait, EventWait, ConditionWait,
         ConditionOnLockWait, WaitForWait, BarrierWait]


def name_of(kind):
    return kind.__name__


@pytest.fixture(params=WAITS, ids=name_of)
def waits(request):
    made = request.param()
    yield made
    if isinstance(made, RLockWait):
        made.end()


class Index:
    def __index__(self):
        return 0


class Float:
    def __float__(self):
        return 0.03


# Timeouts

@pytest.mark.parametrize("timeout", [
    0, 0.0, -0.0, -1, -5.5, False, -math.inf, -10**30, -1e300, 1e-320, decimal.Decimal(-1), fractions.Fraction(-1, 3),
    Index()], ids=str)
def test_zero_and_less_means_try(waits, timeout):
    waits.timed_out(timeout)


@pytest.mark.parametrize("timeout", [0.03, decimal.Decimal("0.03"), fractions.Fraction(3, 100), Float()], ids=str)
def test_any_real_number(waits, timeout):
    start = time.monotonic()
    waits.timed_out(timeout)
    assert time.monotonic() - start > 0.0299


def test_numpy_numbers(waits):
    numpy = pytest.importorskip("numpy")
    for kind in (numpy.float32, numpy.float64, numpy.longdouble):
        waits.timed_out(kind(0.01))
    for kind in (numpy.int8, numpy.int64, numpy.uint16):
        waits.timed_out(kind(0))


@pytest.mark.parametrize("timeout", [
    None, math.inf, 1e19, 1e300, 10**30, 10**400, sys.maxsize, 2**63, 2**31, 9_223_372_036.854775807, 9_223_372_036.9,
    decimal.Decimal("inf"), decimal.Decimal("1e500"), fractions.Fraction(10**400, 3)],
    ids=lambda value: repr(value)[:30])
def test_for_ever_and_nearly_so(waits, timeout):
    """The wait goes on until it is ended, whatever the number is turned into."""
    threading.Timer(0.05, waits.end).start()
    assert waits.wait(timeout) is True


@pytest.mark.parametrize("timeout", [
    math.nan, -math.nan, decimal.Decimal("nan"), "1", "abc", b"1", [1], (), {}, 1j, object(), Ellipsis, int],
    ids=lambda value: repr(value)[:30])
def test_errors_name_the_value(waits, timeout):
    with pytest.raises((TypeError, ValueError)) as caught:
        waits.wait(timeout)
    assert repr(timeout) in str(caught.value)
    waits.timed_out(0)  # and nothing has changed
    threading.Timer(0.02, waits.end).start()
    assert waits.wait(60) is True


@pytest.mark.parametrize("timeout", [math.nan, "1", [1], 1j], ids=str)
def test_bad_timeouts_are_named_where_no_wait_is_needed(timeout):
    event, lock, semaphore, barrier = cmp.Event(), cmp.Lock(), cmp.Semaphore(), cmp.Barrier(1)
    event.set()
    for wait in (event.wait, lambda timeout: lock.acquire(timeout=timeout),
                 lambda timeout: semaphore.acquire(timeout=timeout), barrier.wait,
                 lambda timeout: cmp.Barrier(2, timeout=timeout).wait()):
        with pytest.raises((TypeError, ValueError)) as caught:
            wait(timeout)
        assert repr(timeout) in str(caught.value)
    assert lock.acquire(False) and semaphore.acquire(False) and not barrier.broken


class Raises:
    def __float__(self):
        raise KeyError("from __float__")

    def __index__(self):
        raise KeyError("from __index__")


def test_what_a_number_raises_comes_through(waits):
    with pytest.raises(KeyError, match="from __"):
        waits.wait(Raises())


def test_a_timeout_is_not_shortened(waits):
    for timeout in (0.001, 0.05, 0.25):
        start = time.monotonic()
        waits.timed_out(timeout)
        assert time.monotonic() - start > timeout * 0.999


# The clock

STEPPED_CLOCK = r"""
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
/* The wall clock as somebody sets it, by a day each time that it is read; the monotonic ones as they are. */
static long offset;
static long step(void)
{
    return offset += STEP;
}
int clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, t);
    if (rc == 0 && clock == CLOCK_REALTIME)
        t->tv_sec += step();
    return rc;
}
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec t;
    (void)tz;
    if (clock_gettime(CLOCK_REALTIME, &t) < 0)
        return -1;
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *into)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (into != NULL)
        *into = t.tv_sec;
    return t.tv_sec;
}
"""


@pytest.fixture(params=["forward", "backward"])
def stepped_clock(request, tmp_path):
    """The environment for a program whose wall clock jumps."""
    compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(STEPPED_CLOCK)
    step = 86400 if request.param == "forward" else -86400
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", f"-DSTEP={step}", source, "-o", library], check=True)
    return {"LD_PRELOAD": str(library)}


def test_the_wall_clock_does_not_matter(tmp_path, stepped_clock):
    assert run_program(tmp_path, """
import cmp, threading, time
def took(wait, *args):
    start = time.monotonic()
    assert not wait(*args), wait
    return 0.199 < time.monotonic() - start < 30
def broken(barrier):
    try:
        barrier.wait(0.2)
    except threading.BrokenBarrierError:
        return False
    return True
if __name__ == "__main__":
    before = time.time()
    assert abs(time.time() - before) > 80000, "the clock has to jump"
    lock, rlock, semaphore, condition = cmp.Lock(), cmp.RLock(), cmp.Semaphore(0), cmp.Condition()
    lock.acquire()
    thread = threading.Thread(target=rlock.acquire)
    thread.start()
    thread.join()
    print(took(lock.acquire, True, 0.2), took(rlock.acquire, True, 0.2), took(semaphore.acquire, True, 0.2),
          took(cmp.Event().wait, 0.2), took(broken, cmp.Barrier(2)))
    with condition:
        print(took(condition.wait, 0.2), took(condition.wait_for, lambda: False, 0.2))
""", env=stepped_clock) == ["True True True True True", "True True"]


# Who else runs meanwhile

def test_no_wait_holds_the_gil(waits):
    """While a thread waits, this one computes, and then ends its wait."""
    told = []
    thread = threading.Thread(target=lambda: told.append(waits.wait()))
    thread.start()
    for _ in range(20):
        time.sleep(0.005)
        sum(range(1000))
    assert thread.is_alive()
    waits.end()
    thread.join()
    assert told == [True]


@pytest.fixture
def small_stacks():
    before = threading.stack_size(256 * 1024)
    yield
    threading.stack_size(before)


def start_threads(number, target):
    threads = [threading.Thread(target=target) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    for thread in threads:
        thread.join()


THOUSAND = 1000


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_a_thousand_threads_acquire(small_stacks, kind):
    lock, inside, turns = getattr(cmp, kind)(), [], []

    def enter():
        assert lock.acquire()
        inside.append(1)
        turns.append(len(inside))
        inside.pop()
        lock.release()
    lock.acquire()
    threads = start_threads(THOUSAND, enter)
    lock.release()
    join(threads)
    assert turns == [1] * THOUSAND
    assert not lock.locked()


def test_a_thousand_threads_wait_for_an_event(small_stacks):
    event, came = cmp.Event(), []
    threads = start_threads(THOUSAND, lambda: came.append(event.wait()))
    event.set()
    join(threads)
    assert came == [True] * THOUSAND


@pytest.mark.parametrize("how", ["notify_all", "notify n", "notify one by one"])
def test_a_thousand_threads_wait_on_a_condition(small_stacks, how):
    condition, waiting, came = cmp.Condition(), [], []

    def wait():
        with condition:
            waiting.append(1)
            came.append(condition.wait())
    threads = start_threads(THOUSAND, wait)
    while len(waiting) < THOUSAND:
        time.sleep(0.01)
    with condition:
        assert not came
        if how == "notify_all":
            condition.notify_all()
        elif how == "notify n":
            condition.notify(THOUSAND)
        else:
            for _ in range(THOUSAND):
                condition.notify()
    join(threads)
    assert came == [True] * THOUSAND


def test_a_thousand_threads_meet_at_a_barrier(small_stacks):
    barrier, places = cmp.Barrier(THOUSAND), []

    def meet():
        for _ in range(2):
            places.append(barrier.wait())
    join(start_threads(THOUSAND, meet))
    assert sorted(places) == sorted([*range(THOUSAND)] * 2)
    assert barrier.n_waiting == 0 and not barrier.broken


def test_a_thousand_threads_whose_wait_times_out(small_stacks, waits):
    if isinstance(waits, BarrierWait):
        pytest.skip("the first time-out breaks it")
    came = []
    join(start_threads(THOUSAND, lambda: came.append(waits.wait(0.2))))
    assert came == [False] * THOUSAND
    threading.Timer(0.02, waits.end).start()
    assert waits.wait(60) is True


# Stopped and continued

def wait_in_a_child(waits, told):
    told.put("waits")
    told.put(waits.wait())


@pytest.mark.parametrize("kind", [kind for kind in WAITS if kind is not RLockWait], ids=name_of)
def test_a_waiter_that_was_stopped(kind):
    """SIGSTOP and SIGCONT interrupt system calls; the wait goes on, and takes what came meanwhile."""
    ctx = cmp.get_context("fork")
    waits, told = kind(ctx), ctx.SimpleQueue()
    with running(ctx, wait_in_a_child, waits, told) as process:
        assert told.get() == "waits"
        wait_asleep(process)
        stop(process)
        go_on(process)
        wait_asleep(process)
        stop(process)
        ender = threading.Thread(target=waits.end)  # of a barrier it waits for the other one
        ender.start()
        go_on(process)
        assert told.get() is True
        ender.join()
        process.join()


def test_ctypes_threads(waits):
    """A wait in a thread that Python has not made."""
    told = []
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)

    @kind
    def body(_):
        told.append(waits.wait(60))
    libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, body, None) == 0
    time.sleep(0.05)
    waits.end()
    assert libc.pthread_join(thread, None) == 0
    assert told == [True]
