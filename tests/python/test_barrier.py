"""Barrier: all or none; at once ready for the next round; broken rather than for ever."""
import threading
import time

import pytest
from crew import kill, running, sleep_for_ever, stop, wait_asleep

import cmp
from conftest import wait_until

Broken = threading.BrokenBarrierError


def meet(barrier, rounds, told):
    told.put([barrier.wait() for _ in range(rounds)])


@pytest.mark.parametrize("parties", [2, 3, 5])
def test_each_place_is_given_once(ctx, parties):
    barrier, told = ctx.Barrier(parties), ctx.SimpleQueue()
    processes = [ctx.Process(target=meet, args=(barrier, 20, told)) for _ in range(parties)]
    for process in processes:
        process.start()
    places = [told.get() for _ in processes]
    for process in processes:
        process.join()
    assert all(sorted(of_one_round) == list(range(parties)) for of_one_round in zip(*places, strict=True))
    assert (barrier.n_waiting, barrier.broken, barrier.parties) == (0, False, parties)


def test_a_barrier_of_one():
    barrier = cmp.Barrier(1)
    assert [barrier.wait() for _ in range(5)] == [0] * 5
    assert barrier.wait(0) == 0 and barrier.wait(timeout=-1) == 0


@pytest.mark.parametrize("parties", [0, -1, 2**31, 10**30])
def test_impossible_numbers_of_parties(parties):
    with pytest.raises((ValueError, OverflowError)):
        cmp.Barrier(parties)


@pytest.mark.parametrize("parties", ["2", 2.0, None])
def test_no_numbers_of_parties(parties):
    with pytest.raises(TypeError):
        cmp.Barrier(parties)


def test_attributes_are_read_only():
    barrier = cmp.Barrier(3)
    for name in ("parties", "n_waiting", "broken"):
        with pytest.raises(AttributeError):
            setattr(barrier, name, 1)


def in_threads(number, function):
    """What the function returns or raises in that many threads."""
    results = []

    def run():
        try:
            results.append(function())
        except Exception as error:
            results.append(type(error))
    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads, results


def join(threads):
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("parties", [100, 127, 200])  # more than one sleep can watch
def test_many_parties(parties):
    barrier = cmp.Barrier(parties)
    for _ in range(3):
        threads, places = in_threads(parties, barrier.wait)
        join(threads)
        assert sorted(places) == list(range(parties))


def test_n_waiting():
    barrier = cmp.Barrier(4)
    assert barrier.n_waiting == 0
    waiting = []
    for number in (1, 2, 3):
        waiting += in_threads(1, barrier.wait)[0]
        assert wait_until(lambda: barrier.n_waiting == number)  # noqa: B023 (called at once)
        assert not barrier.broken
    assert barrier.wait() in range(4)
    join(waiting)
    assert barrier.n_waiting == 0


def race(barrier, rounds, table, me, failures):
    """In each round everybody writes its round and sees after the barrier that all have."""
    for number in range(1, rounds + 1):
        table[me] = number
        barrier.wait()
        failures.value += min(table) < number
        failures.value += max(table) > number + 1
        barrier.wait()


@pytest.mark.parametrize("parties", [2, 3, 4])
def test_fast_parties_use_it_again_at_once(ctx, parties):
    barrier, table, failures = ctx.Barrier(parties), ctx.RawArray("i", parties), ctx.RawValue("i", 0)
    processes = [ctx.Process(target=race, args=(barrier, 200, table, me, failures)) for me in range(parties)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * parties
    assert failures.value == 0 and list(table) == [200] * parties


def test_fast_threads():
    barrier, table, failures = cmp.Barrier(6), [0] * 6, cmp.RawValue("i", 0)
    threads = [threading.Thread(target=race, args=(barrier, 200, table, me, failures)) for me in range(6)]
    for thread in threads:
        thread.start()
    join(threads)
    assert failures.value == 0 and table == [200] * 6


# The action

CALLS = None  # of an action in another process


def count_call():
    CALLS.value += 1


def test_the_action_is_run_once_before_all_go():
    calls = []
    barrier = cmp.Barrier(5, action=lambda: calls.append(threading.get_ident()))

    def go():
        for number in range(1, 21):
            barrier.wait()
            assert len(calls) in (number, number + 1)
        return "fine"
    threads, results = in_threads(5, go)
    join(threads)
    assert results == ["fine"] * 5 and len(calls) == 20
    assert set(calls) <= {thread.ident for thread in threads}


def see_action(barrier, second, calls, rounds):
    global CALLS
    CALLS = calls
    for number in range(1, rounds + 1):
        barrier.wait()
        assert calls.value == number
        second.wait()


def test_the_action_between_processes(ctx):
    """A function that each process finds by its name; whoever comes last runs it."""
    calls = ctx.RawValue("i", 0)
    barrier, second = ctx.Barrier(3, count_call), ctx.Barrier(3)
    processes = [ctx.Process(target=see_action, args=(barrier, second, calls, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert calls.value == 10


def test_an_action_that_fails_breaks_the_barrier():
    def fail():
        raise KeyError("from the action")
    barrier = cmp.Barrier(3, fail)
    threads, results = in_threads(3, barrier.wait)
    join(threads)
    assert sorted(results, key=str) == sorted([Broken, Broken, KeyError], key=str)
    assert barrier.broken
    with pytest.raises(Broken):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken


def test_an_action_that_is_no_function():
    barrier = cmp.Barrier(1, 5)
    with pytest.raises(TypeError):
        barrier.wait()
    assert barrier.broken


def test_an_action_uses_the_barrier():
    """It sees the others waiting, and may give up."""
    seen = []

    def look():
        seen.append((barrier.n_waiting, barrier.parties, barrier.broken))
    barrier = cmp.Barrier(2, look)
    threads, results = in_threads(2, barrier.wait)
    join(threads)
    assert sorted(results) == [0, 1]
    assert seen in ([(1, 2, False)], [(2, 2, False)])
    barrier = cmp.Barrier(2, lambda: barrier.abort())
    threads, results = in_threads(2, lambda: barrier.wait(50))
    join(threads)
    assert Broken in results and barrier.broken


# Broken, aborted, reset, timed out

def wait_and_tell(barrier, told, timeout=None):
    try:
        told.put(barrier.wait(timeout))
    except Broken:
        told.put("broken")


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_abort_and_reset_send_the_waiters_away(ctx, how):
    barrier, told = ctx.Barrier(3), ctx.SimpleQueue()
    with running(ctx, wait_and_tell, barrier, told) as one, running(ctx, wait_and_tell, barrier, told) as two:
        assert wait_until(lambda: barrier.n_waiting == 2, 30)
        wait_asleep(one, two)
        assert getattr(barrier, how)() is None
        assert [told.get(), told.get()] == ["broken"] * 2
        one.join()
        two.join()
    assert barrier.broken == (how == "abort")
    assert barrier.n_waiting == 0


def test_after_an_abort_nobody_waits_until_a_reset():
    barrier = cmp.Barrier(2)
    barrier.abort()
    barrier.abort()
    for _ in range(3):
        with pytest.raises(Broken):
            barrier.wait()
    barrier.reset()
    threads, results = in_threads(2, barrier.wait)
    join(threads)
    assert sorted(results) == [0, 1]


def test_a_reset_when_nobody_waits():
    barrier = cmp.Barrier(2)
    for _ in range(3):
        barrier.reset()
        assert not barrier.broken
        threads, results = in_threads(2, barrier.wait)
        join(threads)
        assert sorted(results) == [0, 1]


def test_a_reset_while_a_new_round_begins():
    """Those inside at the reset get the error, those who come after it belong to the new round."""
    barrier = cmp.Barrier(2)
    for _ in range(100):
        threads, results = in_threads(1, barrier.wait)
        assert wait_until(lambda: barrier.n_waiting == 1)
        barrier.reset()
        more, places = in_threads(2, barrier.wait)
        join(threads + more)
        assert results == [Broken] and sorted(places) == [0, 1]


@pytest.mark.parametrize("given", ["to the barrier", "to wait"])
def test_a_time_out_breaks_it_for_all(ctx, given):
    barrier, told = ctx.Barrier(3, timeout=0.1 if given == "to the barrier" else None), ctx.SimpleQueue()
    with running(ctx, wait_and_tell, barrier, told, 60) as process:
        assert wait_until(lambda: barrier.n_waiting == 1, 30)
        start = time.monotonic()
        with pytest.raises(Broken):
            barrier.wait(*[0.1] * (given == "to wait"))
        assert time.monotonic() - start > 0.099
        assert told.get() == "broken"
        process.join()
    assert barrier.broken and barrier.n_waiting == 0


def test_the_timeout_of_wait_comes_first():
    barrier = cmp.Barrier(2, timeout=0.01)
    threads, results = in_threads(1, lambda: barrier.wait(60))
    time.sleep(0.1)
    assert barrier.wait(60) in (0, 1)
    join(threads)
    assert sorted(results)[0] in (0, 1)


def test_a_timeout_is_for_one_round():
    barrier = cmp.Barrier(2, timeout=30)
    for _ in range(50):
        threads, results = in_threads(2, barrier.wait)
        join(threads)
        assert sorted(results) == [0, 1]


# Deaths

def test_it_breaks_when_one_who_had_arrived_dies(ctx):
    """gh-123899: the others waited for ever, with a timeout too; n_waiting counted the dead one."""
    barrier, told = ctx.Barrier(4), ctx.SimpleQueue()
    with (running(ctx, wait_and_tell, barrier, told) as one, running(ctx, wait_and_tell, barrier, told) as two,
          running(ctx, wait_and_tell, barrier, told) as victim):
        assert wait_until(lambda: barrier.n_waiting == 3, 30)
        wait_asleep(one, two, victim)
        kill(victim)
        assert [told.get(), told.get()] == ["broken"] * 2
        one.join()
        two.join()
    with pytest.raises(Broken):
        barrier.wait()
    assert barrier.broken and barrier.n_waiting == 0
    barrier.reset()
    with running(ctx, wait_and_tell, barrier, told) as process:
        assert wait_until(lambda: barrier.n_waiting == 1, 30)
        barrier.abort()
        assert told.get() == "broken"
        process.join()


def test_the_dead_are_not_waited_with():
    """Nobody slept when the only party that had arrived died."""
    ctx = cmp.get_context("fork")
    barrier, told = ctx.Barrier(2), ctx.SimpleQueue()
    with running(ctx, wait_and_tell, barrier, told) as victim:
        assert wait_until(lambda: barrier.n_waiting == 1, 30)
        kill(victim)
    with pytest.raises(Broken):
        barrier.wait(30)
    assert barrier.broken


def test_one_who_dies_before_it_arrives_is_just_not_there():
    ctx = cmp.get_context("fork")
    barrier, told = ctx.Barrier(2), ctx.SimpleQueue()
    with running(ctx, sleep_for_ever) as victim:
        kill(victim)
    with running(ctx, wait_and_tell, barrier, told) as process:
        assert barrier.wait(30) in (0, 1)
        assert told.get() in (0, 1)
        process.join()


def test_a_round_that_was_complete_is_not_broken_by_a_death(ctx):
    """It was let go already when it died."""
    barrier, told = ctx.Barrier(2), ctx.SimpleQueue()
    for _ in range(5):
        with running(ctx, wait_and_tell, barrier, told) as process:
            assert barrier.wait(30) in (0, 1)
            kill(process)
        assert not barrier.broken
        while not told.empty():
            told.get()


def test_a_stopped_party_is_waited_for():
    """SIGSTOP is no death: one that has arrived counts, and the round is complete without it."""
    ctx = cmp.get_context("fork")
    barrier, told = ctx.Barrier(3), ctx.SimpleQueue()
    with running(ctx, wait_and_tell, barrier, told) as stopped, running(ctx, wait_and_tell, barrier, told) as other:
        assert wait_until(lambda: barrier.n_waiting == 2, 30)
        stop(stopped)
        time.sleep(0.3)
        assert not barrier.broken and barrier.n_waiting == 2
        assert barrier.wait(30) in range(3)
        assert told.get() in range(3)
        other.join()


class Meeting(cmp.synchronize.Barrier):
    def __init__(self, parties):
        super().__init__(parties, ctx=cmp.get_context())
        self.topic = "tests"


def test_subclasses():
    meeting = Meeting(1)
    assert meeting.wait() == 0 and meeting.topic == "tests" and isinstance(meeting, threading.Barrier)


def test_repr():
    """As a program saw it under the standard library."""
    barrier = cmp.Barrier(2)
    assert repr(barrier).startswith("<multiprocessing.synchronize.Barrier at 0x")
