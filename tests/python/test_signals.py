"""Signals that come during a wait: handlers run, may use the very object that is waited for, and may end the wait."""
import os
import signal
import threading
import time

import pytest
from crew import asleep, running, wait_asleep
from test_waits import WAITS, BarrierWait, ConditionOnLockWait, RLockWait, name_of

import cmp
from conftest import wait_until

UNBROKEN = [kind for kind in WAITS if kind is not BarrierWait]  # an exception breaks the barrier that it leaves


@pytest.fixture(params=WAITS, ids=name_of)
def waits(request):
    made = request.param()
    yield made
    if isinstance(made, RLockWait):
        made.end()


@pytest.fixture
def handle():
    """handle(function): call it at each SIGUSR1 that this process gets."""
    before = signal.getsignal(signal.SIGUSR1)

    def install(function):
        signal.signal(signal.SIGUSR1, lambda signum, frame: function())
    yield install
    signal.signal(signal.SIGUSR1, before)


def signal_soon(*pauses, signum=signal.SIGUSR1):
    """Have this process get the signal after each pause, the first one once the main thread sleeps."""
    def send():
        wait_until(lambda: asleep(os.getpid()))
        for pause in pauses:
            time.sleep(pause)
            os.kill(os.getpid(), signum)
    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_handlers_run_and_the_wait_goes_on(waits, handle):
    seen = []

    def handler():
        seen.append(1)
        if len(seen) == 5:
            threading.Timer(0.02, waits.end).start()
    handle(handler)

    def send():
        time.sleep(0.05)
        while len(seen) < 5:  # two that come at once may be one
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)
    sender = threading.Thread(target=send)
    sender.start()
    assert waits.wait() is True
    sender.join()
    assert len(seen) >= 5


def test_the_timeout_goes_on_too(waits, handle):
    handle(lambda: None)
    sender = signal_soon(*[0.01] * 20)
    start = time.monotonic()
    waits.timed_out(0.3)
    assert time.monotonic() - start > 0.299
    sender.join()


def test_a_handler_ends_the_wait_it_interrupts(waits, handle):
    """gh-126434 and gh-85772: event.set() while the main thread waits on that very event; the others likewise."""
    def end():
        if isinstance(waits, BarrierWait):  # whose other party comes in another thread
            threading.Thread(target=waits.end).start()
        else:
            waits.end()
    handle(end)
    sender = signal_soon(0.05)
    assert waits.wait() is True
    sender.join()


def test_a_handler_uses_the_object_it_interrupts(handle):
    """All that does not wait, on the object that is waited for."""
    event, barrier, seen = cmp.Event(), cmp.Barrier(2), []

    def handler():
        seen.append((event.is_set(), event.wait(0.01), repr(event)[-6:]))
        event.set()
        event.clear()  # a pulse: the wait ends all the same
    handle(handler)
    sender = signal_soon(0.05)
    assert event.wait(30) is True
    assert seen == [(False, False, "unset>")] and not event.is_set()
    sender.join()

    def look():
        seen.append((barrier.n_waiting, barrier.broken, barrier.parties))
        barrier.abort()
    handle(look)
    sender = signal_soon(0.05)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(30)
    assert seen[1] == (1, False, 2) and barrier.broken
    sender.join()


def test_a_handler_resets_the_barrier_it_interrupts(handle):
    barrier = cmp.Barrier(2)
    handle(barrier.reset)
    sender = signal_soon(0.05)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(30)
    assert not barrier.broken and barrier.n_waiting == 0
    sender.join()


def test_a_handler_waits_on_the_condition_it_interrupts(handle):
    """The handler finds the condition's lock free, and has it free again when it is done."""
    lock, seen = cmp.RLock(), []
    condition = cmp.Condition(lock)

    def handler():
        with condition:
            seen.append(condition.wait(0.02))
            condition.notify_all()
    handle(handler)
    sender = signal_soon(0.05)
    with condition, condition:
        assert condition.wait(30) is True
    sender.join()
    assert seen == [False]
    assert not lock.locked()


def test_keyboard_interrupt_ends_every_wait(waits):
    sender = signal_soon(0.05, signum=signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        waits.wait()
        time.sleep(30)
    sender.join()
    if isinstance(waits, BarrierWait):
        waits.made.reset()  # those who have arrived cannot be left waiting for one who will not come
    waits.timed_out(0)
    threading.Timer(0.02, waits.end).start()
    assert waits.wait() is True


@pytest.mark.parametrize("kind", [cmp.Lock, cmp.RLock], ids=["Lock", "RLock"])
def test_interrupted_condition_has_its_lock_back(kind, handle):
    """Whoever leaves wait() holds the lock, the one whom a handler's exception drives out as well."""
    lock = kind()
    condition = cmp.Condition(lock)

    def handler():
        raise KeyError
    handle(handler)
    sender = signal_soon(0.05)
    with condition:
        with pytest.raises(KeyError):
            condition.wait()
            time.sleep(30)
        assert lock.locked()
    sender.join()
    assert not lock.locked()
    with condition:
        condition.notify()  # which nobody gets
        assert condition.wait(0.02) is False


def test_interrupted_while_it_takes_the_lock_back(handle):
    """The waiter was notified, and the notifier keeps the lock while the signal comes."""
    lock, seen, go = cmp.RLock(), [], threading.Event()
    condition = cmp.Condition(lock)

    def notify():
        with condition:
            condition.notify()
            os.kill(os.getpid(), signal.SIGUSR1)
            go.wait(0.2)
    handle(lambda: seen.append("handled"))
    with condition:
        thread = threading.Thread(target=notify)
        thread.start()
        assert condition.wait(30) is True
        assert seen == ["handled"]
        assert lock.acquire(False)  # held by this thread
        lock.release()
    thread.join()


def test_keyboard_interrupt_while_it_takes_the_lock_back():
    """Notified, but the notifier keeps the lock: the interrupt ends this wait too, and the lock stays its holder's."""
    lock, go, interrupted = cmp.Lock(), threading.Event(), threading.Event()
    condition = cmp.Condition(lock)

    def notify():
        with condition:
            condition.notify()
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
            go.wait(40)
            told.append(interrupted.is_set())
    told, thread = [], threading.Thread(target=notify)
    with pytest.raises(KeyboardInterrupt), condition:
        thread.start()
        condition.wait()
        time.sleep(30)
    interrupted.set()
    assert lock.locked()
    go.set()
    thread.join()
    assert told == [True] and not lock.locked()


def test_a_storm_of_signals(waits, handle):
    """So many that hardly a sleep is not interrupted."""
    seen, done = [], threading.Event()
    handle(lambda: seen.append(1))

    def send():
        while not done.wait(0.0005):
            os.kill(os.getpid(), signal.SIGUSR1)
    sender = threading.Thread(target=send)
    sender.start()
    threading.Timer(0.3, waits.end).start()
    came = waits.wait(50)
    done.set()
    sender.join()
    assert came is True
    assert len(seen) > 10


def test_signals_do_not_cost_the_place_in_the_queue(handle):
    """The oldest waiter is interrupted again and again; the first notify is still its own."""
    condition, order = cmp.Condition(), []
    handle(lambda: None)

    def second():
        with condition:
            condition.wait()
            order.append("second")

    def later():
        while True:
            with condition:
                if repr(condition).endswith(", 2)>"):
                    break
            time.sleep(0.001)
        for _ in range(20):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.005)
        with condition:
            condition.notify()
    thread, sender = threading.Thread(target=second), threading.Thread(target=later)
    with condition:
        thread.start()  # it queues up as soon as this thread waits
        sender.start()
        assert condition.wait(30) is True
        order.append("first")
        assert order == ["first"]
        condition.notify()
    thread.join()
    sender.join()
    assert order == ["first", "second"]


def test_other_threads_do_not_see_the_signal(waits, handle):
    """Handlers run in the main thread alone; a wait of another one goes on."""
    told, seen = [], []
    handle(lambda: seen.append(threading.current_thread() is threading.main_thread()))
    thread = threading.Thread(target=lambda: told.append(waits.wait()))
    thread.start()
    for _ in range(10):
        signal.pthread_kill(thread.ident, signal.SIGUSR1)
        time.sleep(0.005)
    assert thread.is_alive() and seen and all(seen)
    waits.end()
    thread.join()
    assert told == [True]


@pytest.mark.parametrize("kind", UNBROKEN, ids=name_of)
def test_a_signal_at_the_end_of_a_slice(kind, handle):
    """Sleeps end after 0.1 s, 0.3 s, ... by themselves: a signal at that moment finds the thread awake."""
    waits = kind()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(12):
            started = time.monotonic()
            with pytest.raises(InterruptedWait):
                signal.setitimer(signal.ITIMER_REAL, (0.1, 0.3)[turn % 2] + turn * 2e-5)
                waits.wait(20)
            assert time.monotonic() - started < 10
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if isinstance(waits, RLockWait):
            waits.end()


class InterruptedWait(Exception):
    pass


def interrupt(signum, frame):
    raise InterruptedWait


def wait_for_ever(waits):
    waits.wait()


def exit_by_interrupt(waits):
    try:
        waits.wait()
    except KeyboardInterrupt:
        os._exit(40)


@pytest.mark.parametrize("kind", [kind for kind in UNBROKEN if kind is not RLockWait], ids=name_of)
def test_ctrl_c_to_many_who_wait_for_one_thing(kind):
    """The first to leave may wake the next one just as its signal comes."""
    ctx = cmp.get_context("fork")
    for _ in range(3):
        waits = kind(ctx)
        processes = [ctx.Process(target=exit_by_interrupt, args=(waits,)) for _ in range(5)]
        for process in processes:
            process.start()
        wait_asleep(*processes)
        for process in processes:
            os.kill(process.pid, signal.SIGINT)
        for process in processes:
            process.join(20)
        ended = [process.exitcode for process in processes]
        for process in processes:
            process.kill()
            process.join()
        assert ended == [40] * 5


def test_a_wait_within_a_wait_within_a_wait(handle):
    """Each in a handler that ran in the one before; all of them end, the innermost first."""
    events, order = [cmp.Event() for _ in range(3)], []

    def nested():
        depth = sum(text.startswith("enter") for text in order) + 1
        order.append(f"enter {depth}")
        assert events[depth].wait(30)
        order.append(f"leave {depth}")
        events[depth - 1].set()
    handle(nested)
    sender = signal_soon(0.1, 0.2)
    last = threading.Timer(0.6, events[2].set)
    last.start()
    assert events[0].wait(30)
    sender.join()
    last.join()
    assert order == ["enter 1", "enter 2", "leave 2", "leave 1"]


@pytest.mark.parametrize("kind", UNBROKEN, ids=name_of)
def test_fork_in_a_handler(kind, handle):
    """The child goes on with a wait of its own, from its beginning; the parent with its old one."""
    waits, told, inside = kind(), [], []

    def handler():
        if inside and not told:
            told.append(os.fork() or "child")
    handle(handler)
    while not told:  # once, unless the machine is so busy that the signal comes after the wait
        sender = signal_soon(0.1)
        inside.append(True)
        ended = waits.wait(0.5)
        inside.clear()
        if told == ["child"]:
            os._exit(0 if ended is False else 1)
        sender.join()
    assert ended is False
    assert os.waitpid(told[0], 0)[1] == 0
    if isinstance(waits, RLockWait):
        waits.end()


@pytest.mark.parametrize("kind", [kind for kind in WAITS if kind not in (RLockWait, ConditionOnLockWait)], ids=name_of)
def test_default_actions_end_the_waiting_process(kind):
    ctx = cmp.get_context("fork")
    for signum, exitcode in ((signal.SIGTERM, -15), (signal.SIGINT, 1)):
        waits = kind(ctx)
        with running(ctx, wait_for_ever, waits) as process:
            wait_asleep(process)
            os.kill(process.pid, signum)
            process.join()
            assert process.exitcode == exitcode
