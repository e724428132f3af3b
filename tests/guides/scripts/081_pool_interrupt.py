"""Ctrl-C for the whole family: workers ignore it, the main process sees KeyboardInterrupt and cleans up."""
import os
import signal
import threading
import time
from multiprocessing import Pool, Semaphore, active_children


def quiet(semaphore):
    global at_work
    at_work = semaphore
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(n):
    at_work.release()
    time.sleep(60)
    return n


def press(at_work):
    """What a terminal does: the signal goes to every process."""
    for _ in range(2):
        at_work.acquire()
    for process in active_children():
        os.kill(process.pid, signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    at_work = Semaphore(0)
    pool = Pool(2, initializer=quiet, initargs=(at_work,))
    assert pool.map(abs, [-1, -2]) == [1, 2]
    pool.apply_async(work, (-1,))
    finger = threading.Thread(target=press, args=(at_work,))
    finger.start()
    try:
        pool.map(work, range(4), chunksize=1)
    except KeyboardInterrupt:
        print("interrupted")
        pool.terminate()
    else:
        pool.close()
    pool.join()
    finger.join()
    assert active_children() == []
    print("no child left")
