"""Semaphore and BoundedSemaphore: how many permits there are, and who may give one back."""
import threading

import pytest
from crew import running, wait_asleep

import cmp
from cmp.synchronize import SEM_VALUE_MAX

BOTH = pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
VALUES = pytest.mark.parametrize("value", [1, 2, 3, 63, 64, 65, 200])  # up to 64 permits can have owners


@pytest.fixture
def make(kind):
    return getattr(cmp, kind)


@BOTH
@VALUES
def test_as_many_as_there_are(make, value):
    semaphore = make(value)
    for left in range(value, 0, -1):
        assert semaphore.get_value() == left and not semaphore.locked()
        assert semaphore.acquire(False) is True
    assert semaphore.get_value() == 0 and semaphore.locked()
    assert semaphore.acquire(False) is False and semaphore.acquire(timeout=0.01) is False
    for given in range(1, value + 1):
        assert semaphore.release() is None
        assert semaphore.get_value() == given and not semaphore.locked()


@BOTH
def test_without_permits(make):
    semaphore = make(0)
    assert semaphore.get_value() == 0 and semaphore.locked() is True
    assert semaphore.acquire(False) is False


@BOTH
def test_one_without_argument(make):
    semaphore = make()
    assert semaphore.get_value() == 1
    assert make(value=3).get_value() == 3


@BOTH
@pytest.mark.parametrize("value", [-1, -10**30, SEM_VALUE_MAX + 1, 10**30])
def test_impossible_values(make, value):
    with pytest.raises((ValueError, OverflowError)):
        make(value)


@BOTH
@pytest.mark.parametrize("value", ["1", 1.0, None, [1]])
def test_no_numbers(make, value):
    with pytest.raises(TypeError):
        make(value)


@BOTH
def test_with(make):
    semaphore = make(2)
    with semaphore as entered:
        assert entered is True
        assert semaphore.get_value() == 1
        with semaphore:
            assert semaphore.locked()
        assert semaphore.get_value() == 1
    assert semaphore.get_value() == 2
    with pytest.raises(KeyError), semaphore:
        raise KeyError
    assert semaphore.get_value() == 2


@BOTH
@VALUES
def test_with_and_bare_mixed(make, value):
    """A permit taken by one way may be given back by the other, by any thread."""
    semaphore = make(value)
    with semaphore:
        semaphore.release()
        assert semaphore.get_value() == value
        semaphore.acquire()
    assert semaphore.get_value() == value
    semaphore.acquire()
    semaphore.__exit__(None, None, None)
    assert semaphore.get_value() == value
    semaphore.__enter__()
    thread = threading.Thread(target=semaphore.release)
    thread.start()
    thread.join()
    assert semaphore.get_value() == value


@BOTH
def test_release_several(make):
    semaphore = make(5)
    for _ in range(5):
        semaphore.acquire()
    assert semaphore.release(2) is None
    assert semaphore.get_value() == 2
    semaphore.release(n=3)
    assert semaphore.get_value() == 5


@BOTH
@pytest.mark.parametrize("n", [0, -1, -10**30])
def test_release_less_than_one(make, n):
    semaphore = make(3)
    semaphore.acquire()
    with pytest.raises(ValueError):
        semaphore.release(n)
    assert semaphore.get_value() == 2


@BOTH
@pytest.mark.parametrize("n", ["1", 1.5, None])
def test_release_no_number(make, n):
    semaphore = make(3)
    semaphore.acquire()
    with pytest.raises(TypeError):
        semaphore.release(n)
    assert semaphore.get_value() == 2


def test_a_bounded_one_is_not_released_more_often_than_acquired():
    semaphore = cmp.BoundedSemaphore(3)
    with pytest.raises(ValueError, match="semaphore or lock released too many times"):
        semaphore.release()
    semaphore.acquire()
    semaphore.acquire()
    with pytest.raises(ValueError):
        semaphore.release(3)
    assert semaphore.get_value() == 1  # all or none
    semaphore.release(2)
    with pytest.raises(ValueError):
        semaphore.release()
    with pytest.raises(ValueError), semaphore:
        semaphore.release()
    assert semaphore.get_value() == 3


def test_an_unbounded_one_grows():
    semaphore = cmp.Semaphore(2)
    for value in range(3, 200):
        semaphore.release()
        assert semaphore.get_value() == value
    semaphore.release(1000)
    for _ in range(1199):
        assert semaphore.acquire(False)
    assert not semaphore.acquire(False)


def test_the_largest():
    semaphore = cmp.Semaphore(SEM_VALUE_MAX)
    assert semaphore.get_value() == SEM_VALUE_MAX
    with pytest.raises((ValueError, OverflowError)):
        semaphore.release()
    with semaphore:
        assert semaphore.get_value() == SEM_VALUE_MAX - 1
    semaphore = cmp.Semaphore(1)
    for too_many in (SEM_VALUE_MAX, 2**31, 2**32, 2**63, 10**30):
        with pytest.raises((ValueError, OverflowError)):
            semaphore.release(too_many)
    assert semaphore.get_value() == 1
    semaphore.release(SEM_VALUE_MAX - 1)
    assert semaphore.get_value() == SEM_VALUE_MAX


def count_inside(semaphore, inside, lock, most, rounds):
    for _ in range(rounds):
        with semaphore:
            with lock:
                inside.value += 1
                most.value = max(most.value, inside.value)
            with lock:
                inside.value -= 1


@pytest.mark.parametrize("value", [1, 3, 64, 100])
def test_never_more_inside_than_permits(ctx, value):
    """Threads and processes; all permits are there at the end."""
    semaphore, lock = ctx.Semaphore(value), ctx.Lock()
    inside, most = ctx.RawValue("i", 0), ctx.RawValue("i", 0)
    args = semaphore, inside, lock, most, 200
    workers = [ctx.Process(target=count_inside, args=args) for _ in range(3)]
    workers += [threading.Thread(target=count_inside, args=args) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert inside.value == 0 and 1 <= most.value <= value
    assert semaphore.get_value() == value


def take(semaphore, number, taken):
    for _ in range(number):
        semaphore.acquire()
        taken.put(1)


@pytest.mark.parametrize("burst", [False, True])
def test_every_permit_wakes_somebody(ctx, burst):
    """Three sleeping waiters, nine permits at once or one by one: none is lost, none comes from nowhere."""
    semaphore, taken = ctx.Semaphore(0), ctx.SimpleQueue()
    with (running(ctx, take, semaphore, 3, taken) as one, running(ctx, take, semaphore, 3, taken) as two,
          running(ctx, take, semaphore, 3, taken) as three):
        wait_asleep(one, two, three)
        assert taken.empty()
        if burst:
            semaphore.release(9)
        else:
            for _ in range(9):
                semaphore.release()
        assert [taken.get() for _ in range(9)] == [1] * 9
        for process in (one, two, three):
            process.join()
            assert process.exitcode == 0
    assert semaphore.get_value() == 0


def answer(ping, pong, rounds):
    for _ in range(rounds):
        ping.acquire()
        pong.release()


def test_semaphores_as_signals(ctx):
    ping, pong = ctx.Semaphore(0), ctx.Semaphore(0)
    with running(ctx, answer, ping, pong, 500) as process:
        for _ in range(500):
            ping.release()
            assert pong.acquire(timeout=30)
        process.join()
    assert (ping.get_value(), pong.get_value()) == (0, 0)


def release_all(semaphore, errors):
    try:
        for _ in range(10):
            semaphore.release()
    except ValueError as error:
        errors.put(str(error))


def test_another_process_may_release(ctx):
    semaphore, errors = ctx.BoundedSemaphore(3), ctx.SimpleQueue()
    semaphore.acquire()
    semaphore.__enter__()
    with running(ctx, release_all, semaphore, errors) as process:
        assert "released too many times" in errors.get()
        process.join()
    assert semaphore.get_value() == 3


def test_repr():
    semaphore = cmp.Semaphore(4)
    assert repr(semaphore) == "<Semaphore(value=4)>"
    semaphore.acquire()
    assert repr(semaphore) == "<Semaphore(value=3)>"
    bounded = cmp.BoundedSemaphore(4)
    bounded.acquire()
    assert repr(bounded) == "<BoundedSemaphore(value=3, maxvalue=4)>"


class Doors(cmp.synchronize.BoundedSemaphore):
    def __init__(self):
        super().__init__(2, ctx=cmp.get_context())


def test_subclasses():
    doors = Doors()
    assert isinstance(doors, cmp.synchronize.Semaphore)
    with doors:
        assert repr(doors) == "<Doors(value=1, maxvalue=2)>"
    with pytest.raises(ValueError):
        doors.release()


def test_waiting_threads_are_served_while_new_ones_come():
    """None of the waiters starves for long though a barging thread takes and gives back all the time."""
    semaphore, stop, served = cmp.Semaphore(1), [], []

    def barge():
        while not stop:
            with semaphore:
                pass

    def wait():
        with semaphore:
            served.append(1)
    barging = threading.Thread(target=barge)
    barging.start()
    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.append(1)
    barging.join()
    assert len(served) == 8 and semaphore.get_value() == 1
