"""One process: target, args, kwargs and name; its pid, its life and its exit code."""
import os
import sys
from multiprocessing import Process


def count_vowels(text, *, also=""):
    sys.exit(sum(letter in "aeiou" + also for letter in text))


if __name__ == "__main__":
    process = Process(target=count_vowels, name="vowels", args=("the quick grey fox",), kwargs={"also": "y"})
    assert process.pid is None and process.exitcode is None and not process.is_alive()
    print("before:", process.name, process.is_alive())

    process.start()
    pid = process.pid
    assert pid not in (None, os.getpid())
    assert process.ident == pid
    process.join()

    assert process.exitcode == 6 and not process.is_alive() and process.pid == pid
    print("after:", process.name, process.is_alive(), process.exitcode)
    try:
        process.start()
    except AssertionError:
        print("a process starts once")

    nothing = Process(group=None, target=None)
    nothing.start()
    nothing.join()
    print("no target:", nothing.exitcode)
