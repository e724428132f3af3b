"""Stopping by force: terminate(), kill(), negative exit codes, close()."""
import signal
import time
from multiprocessing import Event, Process


def sleep_for_ever(ready):
    ready.set()
    time.sleep(600)


def ignore_terminate(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    while True:
        time.sleep(600)


def started(target):
    ready = Event()
    process = Process(target=target, args=(ready,))
    process.start()
    ready.wait()
    return process


if __name__ == "__main__":
    process = started(sleep_for_ever)
    assert process.is_alive()
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM
    print("terminate:", process.exitcode, process.is_alive())

    process = started(ignore_terminate)
    process.terminate()
    process.join(0.2)
    assert process.is_alive()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    print("kill:", process.exitcode, process.is_alive())

    process.terminate()  # a process that has ended: nothing happens
    process.close()
    try:
        process.is_alive()
    except ValueError as error:
        print("closed:", type(error).__name__)

    process = started(sleep_for_ever)
    try:
        process.close()
    except ValueError:
        print("close() wants the process to have ended")
    process.kill()
    process.join()
