"""Kernels and sandboxes that lack something: the same promises, each way forced."""
import os

import pytest
from crew import run_program

# What platform.h calls them, and what goes with each.
LACKS = ["", "waitv", "pidfd", "memfd", "robust", "pending", "ofd", "spin", "waitv,pending", "robust,pidfd",
         "waitv,robust,pidfd,ofd,memfd"]
ONLY_FORK = ["memfd,dev_shm", "memfd,dev_shm,waitv,robust"]

CORE = """
import cmp, os, pickle, signal, sys, threading, time, warnings
METHODS = sys.argv[1].split(",")
def hold(lock, held):
    lock.acquire()
    held.set()
    time.sleep(100)
def hold_with(semaphore, held):
    with semaphore:
        held.set()
        time.sleep(100)
def add(lock, counter, times):
    for _ in range(times):
        with lock:
            counter.value += 1
def wait_event(event, told):
    told.put(event.wait(50))
def wait_condition(condition, told):
    with condition:
        told.put("waits")
        told.put(condition.wait(50))
def wait_barrier(barrier, told):
    try:
        told.put(barrier.wait(50))
    except threading.BrokenBarrierError:
        told.put("broken")
def start(ctx, target, *args):
    process = ctx.Process(target=target, args=args)
    process.start()
    return process
def kill(process):
    process.kill()
    process.join()
def exclusion(ctx):
    lock, counter = ctx.Lock(), ctx.RawValue("q", 0)
    processes = [start(ctx, add, lock, counter, 300) for _ in range(2)]
    add(lock, counter, 300)
    for process in processes:
        process.join()
    return counter.value == 900
def take_over(ctx):
    results = []
    for make in (ctx.Lock, ctx.RLock):
        lock, held = make(), ctx.Event()
        process = start(ctx, hold, lock, held)
        assert held.wait(50)
        threading.Timer(0.2, process.kill).start()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results += [lock.acquire(timeout=50), len(caught), lock.owner_died]
        process.join()
    return results == [True, 1, True] * 2
def stopped(ctx):
    lock, held = ctx.Lock(), ctx.Event()
    process = start(ctx, hold, lock, held)
    assert held.wait(50)
    os.kill(process.pid, signal.SIGSTOP)
    robbed = lock.acquire(timeout=1.2)
    kill(process)
    return not robbed
def permits(ctx):
    semaphore, held = ctx.Semaphore(1), ctx.Event()
    process = start(ctx, hold_with, semaphore, held)
    assert held.wait(50)
    threading.Timer(0.2, process.kill).start()
    got = semaphore.acquire(timeout=50)
    process.join()
    return got
def events(ctx):
    event, told = ctx.Event(), ctx.SimpleQueue()
    processes = [start(ctx, wait_event, event, told) for _ in range(2)]
    time.sleep(0.1)
    kill(processes[0])
    event.set()
    processes[1].join()
    return told.get()
def conditions(ctx):
    condition, told = ctx.Condition(), ctx.SimpleQueue()
    first = start(ctx, wait_condition, condition, told)
    assert told.get() == "waits"
    with condition:
        pass
    second = start(ctx, wait_condition, condition, told)
    assert told.get() == "waits"
    with condition:
        pass
    kill(first)
    with condition:
        condition.notify()
    second.join()
    return told.get()
def barriers(ctx):
    barrier, told = ctx.Barrier(3), ctx.SimpleQueue()
    one, two = [start(ctx, wait_barrier, barrier, told) for _ in range(2)]
    while barrier.n_waiting < 2:
        time.sleep(0.01)
    kill(one)
    two.join()
    broken = told.get()
    barrier.reset()
    one, two = [start(ctx, wait_barrier, barrier, told) for _ in range(2)]
    places = {barrier.wait(50), told.get(), told.get()}
    one.join()
    two.join()
    return broken == "broken" and places == {0, 1, 2}
def travels(ctx):
    event, told = ctx.Event(), ctx.SimpleQueue()
    process = start(ctx, wait_event, pickle.loads(pickle.dumps(event)), told)
    event.set()
    process.join()
    return told.get()
if __name__ == "__main__":
    for method in METHODS:
        ctx = cmp.get_context(method)
        for test in (exclusion, take_over, stopped, permits, events, conditions, barriers, travels):
            print(method, test.__name__, test(ctx))
    print(cmp.check(), os.listdir("/dev/shm"))
"""


def expected(methods, files):
    names = ["exclusion", "take_over", "stopped", "permits", "events", "conditions", "barriers", "travels"]
    return [f"{method} {name} True" for method in methods for name in names] + [f"[] {files}"]


@pytest.mark.limit(200)
@pytest.mark.parametrize("lacks", LACKS)
def test_core_without(tmp_path, lacks):
    files = os.listdir("/dev/shm")
    methods = ["fork", "spawn"]
    printed = run_program(tmp_path, CORE, ",".join(methods), env={"CMP_LACKS": lacks}, timeout=190)
    assert printed == expected(methods, files)


@pytest.mark.limit(200)
@pytest.mark.parametrize("lacks", ONLY_FORK)
def test_memory_shared_by_fork_alone(tmp_path, lacks):
    """No memory file at all: forked children have it, and for others there is one clear error."""
    files = os.listdir("/dev/shm")
    printed = run_program(tmp_path, CORE, "fork", env={"CMP_LACKS": lacks}, timeout=190)
    assert printed == expected(["fork"], files)
    printed = run_program(tmp_path, """
import cmp
if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        try:
            cmp.get_context(method).Process(target=print, args=(cmp.Lock(),)).start()
        except OSError as error:
            print(error.strerror)
""", env={"CMP_LACKS": lacks})
    assert len(printed) == 2 and all("not forked" in line for line in printed)


@pytest.mark.parametrize("lacks", LACKS)
def test_waits_are_not_longer(tmp_path, lacks):
    """Wherever a set() or a release must be noticed it is, within a moment and not only when a wait is over."""
    printed = run_program(tmp_path, """
import cmp, threading, time
for turn in range(20):
    event, lock, semaphore = cmp.Event(), cmp.Lock(), cmp.Semaphore(0)
    lock.acquire()
    for wait, end in ((event.wait, event.set), (lock.acquire, lock.release), (semaphore.acquire, semaphore.release)):
        threading.Timer(0.002, end).start()
        assert wait()
print("done")
""", env={"CMP_LACKS": lacks}, timeout=50)
    assert printed == ["done"]
