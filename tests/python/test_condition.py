"""Condition: first in, first out; no wake-up is stolen, swallowed or kept for later."""
import os
import signal
import sys
import threading
import time

import pytest
from crew import go_on, hold_for_ever, kill, running, stop, wait_asleep

import cmp
from conftest import wait_until

LOCKS = pytest.mark.parametrize("lock", ["RLock", "Lock", None])


def make(lock, ctx=cmp):
    return ctx.Condition() if lock is None else ctx.Condition(getattr(ctx, lock)())


@LOCKS
def test_lock_of_a_condition(lock):
    condition = make(lock)
    assert condition.acquire() is True
    assert condition.release() is None
    with condition as entered:
        assert entered is True
        if lock == "Lock":
            assert condition.acquire(False) is False and condition.acquire(timeout=0.01) is False
        else:
            assert condition.acquire(False) is True
            condition.release()
    assert condition.acquire(block=False) and not other_thread(condition.acquire, False)
    condition.release()


def other_thread(function, *args):
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*args)))
    thread.start()
    thread.join()
    return result[0]


def test_the_lock_is_the_one_given():
    lock = cmp.Lock()
    one, two = cmp.Condition(lock), cmp.Condition(lock=lock)
    with one:
        assert lock.locked() and two.acquire(False) is False
    with lock:
        assert one.acquire(False) is False
        one.notify()
        two.notify_all()
        assert one.wait(0.01) is False


@LOCKS
def test_only_its_holder_waits_and_notifies(lock):
    condition = make(lock)

    def refused():
        for call, message in ((condition.wait, "must acquire\\(\\) condition before using wait\\(\\)"),
                              (lambda: condition.wait(0.1), "must acquire"), (condition.notify, "lock is not owned"),
                              (condition.notify_all, "lock is not owned"), (lambda: condition.notify(3), "not owned"),
                              (lambda: condition.wait_for(lambda: False), "must acquire")):
            with pytest.raises(AssertionError, match=message):
                call()
        return True
    assert refused()
    if lock != "Lock":  # which has no holding thread
        with condition:
            assert other_thread(refused)
            assert condition.acquire(False)
            condition.release()
    with condition:
        condition.notify()


@LOCKS
def test_time_out(lock):
    condition = make(lock)
    with condition:
        for timeout in (0, -1, 0.02):
            assert condition.wait(timeout) is False
            assert condition.wait(timeout=timeout) is False
            assert other_thread(condition.acquire, False) is False
    assert condition.acquire(False)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_wait_frees_an_rlock_whole_and_takes_it_back(depth):
    lock = cmp.RLock()
    condition = cmp.Condition(lock)
    for _ in range(depth):
        condition.acquire()

    def notify():
        with condition:
            condition.notify()
        return True
    thread = threading.Thread(target=notify)
    thread.start()
    assert condition.wait(30) is True
    thread.join()
    assert repr(lock) == f"<RLock(MainProcess, {depth})>"
    assert condition.wait(0.01) is False
    assert repr(lock) == f"<RLock(MainProcess, {depth})>"
    for _ in range(depth):
        assert not other_thread(lock.acquire, False)
        condition.release()
    assert not lock.locked()


class Queue:
    """Waiters of one condition, each in its process (or thread), in the order in which they began to wait."""

    def __init__(self, ctx, number, lock=None, timeout=None, threads=False):
        self.condition, self.entered, self.told = make(lock, ctx), ctx.SimpleQueue(), ctx.SimpleQueue()
        kind = threading.Thread if threads else ctx.Process
        self.waiters = []
        for index in range(number):
            waiter = kind(target=wait_in_turn, args=(self.condition, index, self.entered, self.told, timeout))
            waiter.start()
            self.waiters.append(waiter)
            assert self.entered.get() == index
            with self.condition:  # free again: it waits
                pass

    def notify(self, *args):
        with self.condition:
            self.condition.notify(*args)

    def came(self, number):
        return [self.told.get() for _ in range(number)]

    def nobody_comes(self):
        return not wait_until(lambda: not self.told.empty(), 0.2)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        for waiter in self.waiters:
            if args[0] and not isinstance(waiter, threading.Thread):
                waiter.kill()
            waiter.join()


def wait_in_turn(condition, index, entered, told, timeout):
    with condition:
        entered.put(index)
        if condition.wait(timeout):
            told.put(index)


@pytest.mark.parametrize("number", [5, 20])  # more than fit in the condition itself
@LOCKS
def test_first_in_first_out(number, lock):
    with Queue(cmp.get_context("fork"), number, lock) as queue:
        for index in range(number):
            queue.notify()
            assert queue.came(1) == [index]
        assert queue.nobody_comes()


def test_first_in_first_out_under_every_start_method(ctx):
    with Queue(ctx, 3) as queue:
        for index in range(3):
            queue.notify(1)
            assert queue.came(1) == [index]


@pytest.mark.parametrize("number", [40, 150])  # more than one sleep can watch
def test_first_in_first_out_among_threads(number):
    with Queue(cmp, number, threads=True) as queue:
        for index in range(number):
            queue.notify()
            assert queue.came(1) == [index]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_notify_wakes_so_many(n):
    with Queue(cmp.get_context("fork"), 5) as queue:
        queue.notify(n)
        assert sorted(queue.came(n)) == list(range(n))
        assert queue.nobody_comes()
        with queue.condition:
            queue.condition.notify_all()
        assert sorted(queue.came(5 - n)) == list(range(n, 5))


@pytest.mark.parametrize("n", [5, 6, 1000, sys.maxsize, 10**30])
def test_notify_of_more_than_wait(n):
    with Queue(cmp.get_context("fork"), 5) as queue:
        queue.notify(n)
        assert sorted(queue.came(5)) == list(range(5))


def test_notify_of_none():
    with Queue(cmp.get_context("fork"), 2) as queue:
        queue.notify(0)
        assert queue.nobody_comes()
        for wrong in ("1", 1.5, None, [1]):
            with pytest.raises(TypeError):
                queue.notify(wrong)
        assert queue.nobody_comes()
        with queue.condition:
            assert queue.condition.notify(n=1) is None
            assert queue.condition.notify_all() is None
        assert sorted(queue.came(2)) == [0, 1]


def test_a_notify_without_waiters_is_not_kept():
    condition = cmp.Condition()
    with condition:
        for _ in range(20):
            condition.notify()
        condition.notify_all()
        assert condition.wait(0.05) is False


def test_a_notify_is_not_stolen():
    """Whoever comes after the notify does not get it, though it is faster than the one it is for."""
    with Queue(cmp.get_context("fork"), 1) as queue:
        for _ in range(3):
            stop(queue.waiters[0])
            with queue.condition:
                queue.condition.notify()
                assert queue.condition.wait(0.1) is False
            go_on(queue.waiters[0])
            assert queue.came(1) == [0]
            queue.waiters[0].join()
            queue.waiters[0] = queue_up(queue, 0)
        queue.notify()
        assert queue.came(1) == [0]


def queue_up(queue, index):
    ctx = cmp.get_context("fork")
    waiter = ctx.Process(target=wait_in_turn, args=(queue.condition, index, queue.entered, queue.told, None))
    waiter.start()
    assert queue.entered.get() == index
    with queue.condition:
        pass
    return waiter


def test_a_notify_is_not_swallowed_by_a_time_out():
    """The oldest waiter's time-out passes before the notify comes: the next one gets it."""
    for _ in range(5):
        with Queue(cmp.get_context("fork"), 1, timeout=0.05) as early, early.condition:
            pass
        with Queue(cmp.get_context("fork"), 1) as queue:
            thread = threading.Thread(target=lambda: wait_in_turn(queue.condition, 9, queue.entered, queue.told, 0.05))
            thread.start()
            thread.join()
            queue.notify()
            assert queue.came(1) == [0]


def race_with_time_out(condition, pause, told):
    with condition:
        told.put("waits")
        told.put(condition.wait(pause))


def test_notify_and_time_out_at_once():
    """Either the notify was in time, or it goes to the next waiter: never both, never neither."""
    ctx = cmp.get_context("fork")
    for turn in range(60):
        condition, first, second = ctx.Condition(), ctx.SimpleQueue(), ctx.SimpleQueue()
        pause = 0.004
        with (running(ctx, race_with_time_out, condition, pause, first) as one):
            assert first.get() == "waits"
            with running(ctx, race_with_time_out, condition, 60, second) as two:
                assert second.get() == "waits"
                time.sleep(pause * turn / 60)
                with condition:
                    condition.notify()
                got = first.get()
                if got:
                    with condition:
                        condition.notify()
                assert second.get() is True
                two.join()
            one.join()


def test_a_stopped_waiter_holds_up_nobody():
    """gh-75158's cousin: notify waits for nobody to wake."""
    with Queue(cmp.get_context("fork"), 3) as queue:
        stop(queue.waiters[0])
        queue.notify()  # the stopped one's own
        assert queue.nobody_comes()
        queue.notify(2)
        assert sorted(queue.came(2)) == [1, 2]
        go_on(queue.waiters[0])
        assert queue.came(1) == [0]


def test_wait_for():
    condition, turns = cmp.Condition(), []
    with condition:
        assert condition.wait_for(lambda: "what it returns") == "what it returns"
        assert condition.wait_for(lambda: 0, timeout=0) == 0
        assert condition.wait_for(list, 0.05) == []
        assert condition.wait_for(predicate=lambda: turns.append(1) or len(turns) > 3 or None, timeout=-1) is None
        assert len(turns) <= 2
        with pytest.raises(KeyError):
            condition.wait_for(lambda: {}[1])
        with pytest.raises(TypeError):
            condition.wait_for("no function")
        assert not other_thread(condition.acquire, False)
    assert condition.acquire(False)


def count_up(condition, counter, to):
    for _ in range(to):
        with condition:
            counter.value += 1
            condition.notify_all()


def test_wait_for_what_other_processes_do(ctx):
    condition, counter = ctx.Condition(), ctx.RawValue("i", 0)
    with running(ctx, count_up, condition, counter, 50) as one, running(ctx, count_up, condition, counter, 50) as two:
        with condition:
            assert condition.wait_for(lambda: counter.value >= 100, 50) is True
        one.join()
        two.join()
    assert counter.value == 100


def play(condition, turn, me, rounds):
    for _ in range(rounds):
        with condition:
            while turn.value != me:
                condition.wait()
            turn.value = 1 - me
            condition.notify()


@LOCKS
def test_ping_pong(ctx, lock):
    condition, turn = make(lock, ctx), ctx.RawValue("i", 0)
    with running(ctx, play, condition, turn, 1, 300) as process:
        play(condition, turn, 0, 300)
        process.join()
        assert process.exitcode == 0


def produce(condition, stock, number):
    for _ in range(number):
        with condition:
            stock.value += 1
            condition.notify()


def consume(condition, stock, number):
    for _ in range(number):
        with condition:
            while stock.value == 0:
                condition.wait()
            stock.value -= 1


def test_no_wake_up_is_lost():
    """One notify for each item, several consumers: a single lost one would leave a consumer asleep for ever."""
    ctx = cmp.get_context("fork")
    condition, stock = ctx.Condition(), ctx.RawValue("i", 0)
    workers = [ctx.Process(target=consume, args=(condition, stock, 1000)) for _ in range(3)]
    workers += [threading.Thread(target=consume, args=(condition, stock, 1000)) for _ in range(3)]
    workers += [ctx.Process(target=produce, args=(condition, stock, 2000)) for _ in range(2)]
    workers += [threading.Thread(target=produce, args=(condition, stock, 2000))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert stock.value == 0


# Deaths of those who wait

def test_dead_waiters_take_no_notify():
    with Queue(cmp.get_context("fork"), 4) as queue:
        kill(queue.waiters[0])
        kill(queue.waiters[2])
        queue.notify()
        assert queue.came(1) == [1]
        queue.notify()
        assert queue.came(1) == [3]


def test_dead_waiters_do_not_count():
    with Queue(cmp.get_context("fork"), 4) as queue:
        kill(queue.waiters[0])
        kill(queue.waiters[1])
        queue.notify(2)
        assert sorted(queue.came(2)) == [2, 3]


@pytest.mark.parametrize("notified", [1, 2])
def test_the_notify_of_one_who_dies_before_it_acts_goes_on(notified):
    """Killed when it was notified but could not yet have the lock: the next ones get what it got."""
    with Queue(cmp.get_context("fork"), 3) as queue:
        with queue.condition:
            queue.condition.notify(notified)
            kill(queue.waiters[0])
        assert sorted(queue.came(notified)) == list(range(1, notified + 1))
        assert queue.nobody_comes()
        queue.notify(3 - notified)
        queue.came(2 - notified)


def test_notify_all_with_dead_waiters():
    """gh-75158: it waited for the dead one to say that it was awake, for ever."""
    with Queue(cmp.get_context("fork"), 5) as queue:
        for waiter in queue.waiters[1:4]:
            kill(waiter)
        for _ in range(3):
            with queue.condition:
                queue.condition.notify_all()
        assert sorted(queue.came(2)) == [0, 4]


def test_places_of_the_dead_are_used_again():
    """More waiters die, one after another, than a condition has places."""
    ctx = cmp.get_context("fork")
    queue = Queue(ctx, 0)
    for _ in range(40):
        waiter = queue_up(queue, 5)
        kill(waiter)
    with Queue(ctx, 1) as live:
        live.condition, mine = queue.condition, live.condition
        with mine:
            mine.notify()
        assert live.came(1) == [0]
    waiter = queue_up(queue, 6)
    queue.notify()
    assert queue.came(1) == [6]
    waiter.join()


def test_holder_of_the_lock_dies():
    """The one who waits gets the lock with the warning that wait() could not have been told in another way."""
    ctx = cmp.get_context("fork")
    lock = ctx.RLock()
    condition, held = ctx.Condition(lock), ctx.Event()
    condition.acquire()

    def come_and_die():
        process = ctx.Process(target=hold_for_ever, args=(condition, held))
        process.start()
        held.wait()
        process.kill()
        process.join()
    thread = threading.Thread(target=come_and_die)
    thread.start()
    while not held.is_set():
        with pytest.warns(cmp.OwnerDiedWarning) if held.is_set() else _nothing():
            condition.wait(0.05)
    thread.join()
    condition.release()
    if lock.owner_died:
        lock.mark_consistent()
    assert not lock.owner_died


class _nothing:
    def __enter__(self):
        pass

    def __exit__(self, *args):
        pass


def test_repr():
    condition = cmp.Condition()
    assert repr(condition) == "<Condition(<RLock(None, 0)>, 0)>"
    with condition:
        assert repr(condition) == "<Condition(<RLock(MainProcess, 1)>, 0)>"
    assert repr(cmp.Condition(cmp.Lock())) == "<Condition(<Lock(owner=None)>, 0)>"
    with Queue(cmp.get_context("fork"), 2) as queue:
        assert repr(queue.condition) == "<Condition(<RLock(None, 0)>, 2)>"
        queue.notify()
        queue.came(1)
        assert wait_until(lambda: repr(queue.condition) == "<Condition(<RLock(None, 0)>, 1)>")
        queue.notify()


class Mailbox(cmp.synchronize.Condition):
    def __init__(self):
        super().__init__(ctx=cmp.get_context())
        self.letters = []

    def post(self, letter):
        with self:
            self.letters.append(letter)
            self.notify()

    def read(self):
        with self:
            self.wait_for(lambda: self.letters)
            return self.letters.pop(0)


def test_subclasses():
    mailbox = Mailbox()
    threading.Timer(0.02, mailbox.post, ["hello"]).start()
    assert mailbox.read() == "hello"
    assert repr(mailbox) == "<Mailbox(<RLock(None, 0)>, 0)>"


def test_waiters_that_sleep_are_asleep():
    """No process that waits computes."""
    with Queue(cmp.get_context("fork"), 2) as queue:
        wait_asleep(*queue.waiters)
        queue.notify(2)


class Counted(cmp.synchronize.Condition):
    """As programs write them: with wait() and notify() of their own."""

    def __init__(self):
        super().__init__(ctx=cmp.get_context())
        self.calls = []

    def wait(self, timeout=None):
        self.calls.append("wait")
        return super().wait(timeout)

    def notify(self, n=1):
        self.calls.append(f"notify {n}")
        super().notify(n)


def test_a_subclass_is_called_through_its_own_wait_and_notify():
    condition = Counted()
    with condition:
        assert condition.wait_for(lambda: condition.calls == ["wait", "wait"], 0.01) is False
        assert condition.wait_for(lambda: len(condition.calls) == 2, 0.05) is True
        condition.notify_all()
    assert condition.calls == ["wait", "wait", f"notify {sys.maxsize}"]


def test_an_interrupted_wait_releases_no_other_threads_lock():
    """wait() leaves by an exception while another thread of this process has the lock: __exit__ leaves it alone."""
    condition = cmp.Condition(cmp.Lock())
    waiting, leave = threading.Event(), threading.Event()

    def hold():
        waiting.wait()
        with condition:
            condition.notify()
            os.kill(os.getpid(), signal.SIGUSR1)
            leave.wait(30)
    thread = threading.Thread(target=hold)
    before = signal.signal(signal.SIGUSR1, raise_interrupted)
    thread.start()
    try:
        with pytest.raises(InterruptedError), condition:
            waiting.set()
            condition.wait()
        assert condition.acquire(timeout=0.1) is False
    finally:
        leave.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert condition.acquire(timeout=10)
    condition.release()


def raise_interrupted(signum, frame):
    raise InterruptedError


@pytest.mark.parametrize("lock", ["RLock", "Lock"])
def test_what_is_acquired_again_is_released_by_with(lock):
    condition = make(lock)
    with pytest.raises(ValueError, match="mine"), condition:
        condition.release()
        condition.acquire()
        raise ValueError("mine")
    taken = []
    thread = threading.Thread(target=lambda: taken.append(condition.acquire(timeout=10)))
    thread.start()
    thread.join()
    assert taken == [True]
