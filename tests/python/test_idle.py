"""An idle family sleeps, and whoever has nothing to gain from spinning does not spin."""
import contextlib
import os
import time

import pytest
from crew import running, wait_asleep
from test_waits import BarrierWait, ConditionWait, EventWait, LockWait, RLockWait, SemaphoreWait

import cmp


def wake_ups(pid):
    """How often the process has gone to sleep by itself."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))


def processor_time(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def wait(waits, ready):
    ready.set()
    waits.wait()


WAITS = [LockWait, RLockWait, SemaphoreWait, EventWait, ConditionWait, BarrierWait]
FORK = cmp.get_context("fork")


def test_waiting_processes_sleep():
    """Their sleeps begin with a tenth of a second and double; how far they may is found out once, by each process."""
    with contextlib.ExitStack() as stack:
        processes = []
        for kind in WAITS:
            waits, ready = kind(FORK), FORK.Event()
            processes.append(stack.enter_context(running(FORK, wait, waits, ready)))
            assert ready.wait(30)
            if kind is RLockWait:
                stack.callback(waits.end)
        wait_asleep(*processes)
        time.sleep(5)
        before = [(wake_ups(process.pid), processor_time(process.pid)) for process in processes]
        time.sleep(3)
        for kind, process, (woken, used) in zip(WAITS, processes, before, strict=True):
            assert wake_ups(process.pid) - woken <= 3, kind
            assert processor_time(process.pid) - used < 0.1, kind


@pytest.mark.limit(200)
@pytest.mark.skipif(not os.environ.get("CMP_STRESS"), reason="takes 90 seconds: CMP_STRESS=1 (make stress)")
def test_sixty_four_waiting_processes_wake_once_in_thirty_seconds():
    """On locks, events and conditions, once their slices have grown."""
    kinds = [LockWait, EventWait, ConditionWait, RLockWait]
    made = [kinds[number % 4](FORK) for number in range(16)]
    ready, processes = FORK.Semaphore(0), []
    try:
        for number in range(64):
            process = FORK.Process(target=wait_counted, args=(made[number % 16], ready))
            process.start()
            processes.append(process)
        for _ in processes:
            assert ready.acquire(timeout=30)
        time.sleep(56)  # 0.1 + 0.2 + ... + 25.6 s, and the next one is as long as they get
        before = [wake_ups(process.pid) for process in processes]
        time.sleep(30)
        woken = [wake_ups(process.pid) - count for process, count in zip(processes, before, strict=True)]
        assert max(woken) <= 1, woken
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        for waits in made:
            if isinstance(waits, RLockWait):
                waits.end()


def wait_counted(waits, ready):
    ready.release()
    waits.wait()


@pytest.mark.parametrize("kind", [LockWait, SemaphoreWait, EventWait], ids=lambda kind: kind.__name__)
def test_on_one_processor_nobody_spins(kind):
    """Two processes that wait for each other on one processor: each turn is over as soon as the other one runs."""
    ping, pong = kind(FORK), kind(FORK)
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        with running(FORK, answer, ping, pong, 300) as process:
            start, used = time.monotonic(), time.process_time()
            for _ in range(300):
                ping.end()
                assert pong.wait(30)
                after_turn(pong)
            took, used = time.monotonic() - start, time.process_time() - used
            process.join()
            assert process.exitcode == 0
        assert used < 10 and took < 30
    finally:
        os.sched_setaffinity(0, cpus)


def after_turn(waits):
    if isinstance(waits, EventWait):
        waits.made.clear()


def answer(ping, pong, turns):
    for _ in range(turns):
        ping.wait()
        after_turn(ping)
        pong.end()
