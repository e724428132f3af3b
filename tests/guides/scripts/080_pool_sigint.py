"""Ctrl-C for the main process alone: its handler terminates the busy pool, then leaves."""
import os
import signal
import sys
import time
from multiprocessing import Manager, Pool, active_children, current_process


def work(number, started):
    try:
        assert current_process().pid == os.getpid()
        started.put(number)
        while True:
            time.sleep(0.05)
    except KeyboardInterrupt:
        pass


def main():
    manager = Manager()
    others = set(active_children())
    started = manager.Queue()
    pool = Pool(processes=3)
    workers = set(active_children()) - others

    def stop(signum, frame):
        pool.terminate()
        pool.join()
        print("stopped by", signal.Signals(signum).name)
        print("workers left:", sum(worker.is_alive() for worker in workers))
        manager.shutdown()
        sys.exit(3)

    signal.signal(signal.SIGINT, stop)
    for number in range(5):
        pool.apply_async(work, (number, started))
    assert sorted(started.get() for _ in range(3)) == [0, 1, 2]
    print("three at work")
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
