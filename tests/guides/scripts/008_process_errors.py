"""Exceptions in children: a traceback there, an exit code here; what is caught there leaves no trace."""
import os
import sys
import traceback
from multiprocessing import Pipe, Process


def divide(a, b):
    return a / b


def careful(a, b, conn):
    try:
        conn.send(divide(a, b))
    except ZeroDivisionError as error:
        conn.send((repr(error), traceback.format_exc().splitlines()[-1]))


def leave(how):
    if how == "message":
        sys.exit("leaving with a message")
    if how == "at once":
        os._exit(7)
    sys.exit(how)


def outcome(target, *args):
    process = Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


if __name__ == "__main__":
    here, there = Pipe()
    assert outcome(careful, 6, 3, there) == 0
    assert here.recv() == 2
    assert outcome(careful, 1, 0, there) == 0
    print(*here.recv(), sep="\n")

    codes = [outcome(leave, how) for how in (None, 0, 5, "message", "at once")]
    assert codes == [0, 0, 5, 1, 7]
    print("exits:", codes)
    code = outcome(divide, 1, 0)
    assert code == 1
    print("uncaught:", code)
