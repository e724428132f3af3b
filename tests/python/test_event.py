"""Event: a flag, those who wait for it, and pulses that nobody misses."""
import threading
import time

import pytest
from crew import running, sleep_for_ever, stop, wait_asleep

import cmp


def test_set_and_clear():
    event = cmp.Event()
    assert event.is_set() is False and event.wait(0) is False
    for _ in range(3):
        assert event.set() is None
        assert event.is_set() is True and event.wait() is True and event.wait(0) is True and event.wait(-1) is True
    for _ in range(3):
        assert event.clear() is None
        assert event.is_set() is False and event.wait(0.01) is False


def test_methods_take_no_arguments():
    event = cmp.Event()
    for method in (event.is_set, event.set, event.clear):
        with pytest.raises(TypeError):
            method(1)
    for args, kwargs in (((1, 2), {}), ((), {"block": True}), ((1,), {"timeout": 1})):
        with pytest.raises(TypeError):
            event.wait(*args, **kwargs)
    assert event.wait(timeout=0.001) is False


def wait_and_tell(event, told):
    told.put("waits")
    told.put(event.wait())


def test_all_waiters_are_woken(ctx):
    event, told = ctx.Event(), ctx.SimpleQueue()
    processes = [ctx.Process(target=wait_and_tell, args=(event, told)) for _ in range(6)]
    threads = [threading.Thread(target=wait_and_tell, args=(event, told)) for _ in range(6)]
    for worker in processes + threads:
        worker.start()
    assert [told.get() for _ in range(12)] == ["waits"] * 12
    wait_asleep(*processes)
    assert told.empty()
    event.set()
    assert [told.get() for _ in range(12)] == [True] * 12
    for worker in processes + threads:
        worker.join()


def wait_for_pulses(event, told, next_round):
    while next_round.get():
        told.put("waits")
        told.put(event.wait())


def test_pulses_are_not_missed(ctx):
    """gh-95826: set() and clear() at once; whoever waited by then comes out, with True."""
    event, told, next_round = ctx.Event(), ctx.SimpleQueue(), ctx.SimpleQueue()
    with running(ctx, wait_for_pulses, event, told, next_round) as process:
        for _ in range(50):
            next_round.put(True)
            assert told.get() == "waits"
            wait_asleep(process)
            event.set()
            event.clear()
            assert told.get() is True
        next_round.put(False)
        process.join()
    assert not event.is_set()


def test_pulses_reach_threads():
    event, waiting, came = cmp.Event(), threading.Semaphore(0), []

    def wait():
        waiting.release()
        came.append(event.wait(30))
    for _ in range(20):
        threads = [threading.Thread(target=wait) for _ in range(5)]
        for thread in threads:
            thread.start()
            waiting.acquire()
        time.sleep(0.02)
        event.set()
        event.clear()
        for thread in threads:
            thread.join()
    assert came == [True] * 100


def answer(ping, pong, rounds):
    for _ in range(rounds):
        ping.wait()
        ping.clear()
        pong.set()


def test_ping_pong(ctx):
    ping, pong = ctx.Event(), ctx.Event()
    with running(ctx, answer, ping, pong, 500) as process:
        for _ in range(500):
            ping.set()
            assert pong.wait(30)
            pong.clear()
        process.join()
        assert process.exitcode == 0
    assert not ping.is_set() and not pong.is_set()


def set_it(event):
    event.set()


def look(event, told):
    told.put((event.is_set(), event.wait(0)))


def test_seen_by_all_processes(ctx):
    event, told = ctx.Event(), ctx.SimpleQueue()
    for expected in (False, True, False):
        with running(ctx, look, event, told) as process:
            assert told.get() == (expected, expected)
            process.join()
        event.clear() if expected else event.set()
    event.clear()
    with running(ctx, set_it, event) as process:
        assert event.wait(30) is True
        process.join()
    assert event.is_set()


def test_stopped_and_sleeping_processes_do_not_hold_up_set(ctx):
    """set() waits for nobody, whatever those who have the event are doing."""
    event, told = ctx.Event(), ctx.SimpleQueue()
    with running(ctx, wait_and_tell, event, told) as waiter, running(ctx, sleep_for_ever) as idle:
        assert told.get() == "waits"
        wait_asleep(waiter)
        stop(waiter)
        stop(idle)
        for _ in range(100):
            event.set()
            event.clear()
        event.set()
        assert event.wait(0)


def test_repr():
    event = cmp.Event()
    assert repr(event) == f"<Event at {id(event):#x} unset>"
    event.set()
    assert repr(event) == f"<Event at {id(event):#x} set>"


class Door(cmp.synchronize.Event):
    def __init__(self, number):
        super().__init__(ctx=cmp.get_context())
        self.number = number


def test_subclasses():
    door = Door(7)
    door.set()
    assert door.is_set() and door.number == 7 and " set>" in repr(door)


def hammer(event, rounds):
    for _ in range(rounds):
        event.set()
        event.clear()
        event.is_set()


def test_set_and_clear_from_everywhere(ctx):
    """No order among them, and no harm: a set() at the end is what counts."""
    event, told = ctx.Event(), ctx.SimpleQueue()
    workers = [ctx.Process(target=hammer, args=(event, 3000)) for _ in range(2)]
    workers += [threading.Thread(target=hammer, args=(event, 3000)) for _ in range(2)]
    with running(ctx, wait_and_tell, event, told) as waiter:
        assert told.get() == "waits"
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        event.set()
        assert told.get() is True
        waiter.join()
