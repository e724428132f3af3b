"""Sentinels: waiting for whichever of several processes ends first."""
import sys
from multiprocessing import Event, Process
from multiprocessing.connection import wait


def leave_with(code, gate):
    gate.wait()
    sys.exit(code)


if __name__ == "__main__":
    gates = {code: Event() for code in (3, 1, 2)}
    processes = {code: Process(target=leave_with, args=(code, gate)) for code, gate in gates.items()}
    for process in processes.values():
        process.start()
    by_sentinel = {process.sentinel: process for process in processes.values()}
    assert wait(by_sentinel, timeout=0.05) == []

    order = []
    for code, gate in gates.items():
        gate.set()
        [sentinel] = wait(by_sentinel)
        ended = by_sentinel.pop(sentinel)
        ended.join()
        order.append(ended.exitcode)
    assert order == [3, 1, 2]
    print("ended in the order", order)
