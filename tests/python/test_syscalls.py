"""What nobody contends for costs no system call: a process that may only write and exit does it a thousand times."""
import ctypes
import gc
import os
import signal
import struct
import threading

import pytest

import cmp

NUMBERS = {"x86_64": (1, 231, 0xC000003E), "aarch64": (64, 94, 0xC00000B7)}  # write, exit_group, the machine
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06


def forbid_system_calls():
    """From now on any but write and exit_group kills this process with SIGSYS."""
    write, exit_group, machine = NUMBERS[os.uname().machine]
    program = b"".join(struct.pack("HBBI", *step) for step in [
        (LOAD_WORD, 0, 0, 4), (JUMP_IF_EQUAL, 0, 4, machine), (LOAD_WORD, 0, 0, 0),
        (JUMP_IF_EQUAL, 1, 0, write), (JUMP_IF_EQUAL, 0, 1, exit_group), (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, KILL_PROCESS)])
    code = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header):
        os._exit(77)


def repeat(operation, times):
    for _ in range(times):
        operation()


def lone(operation, make=lambda: None):
    """How a child ends that does it a thousand times under that rule, with what it made before."""
    if os.uname().machine not in NUMBERS:
        pytest.skip("no numbers of system calls for this machine")
    if (pid := os.fork()) == 0:
        try:
            made = make()
            repeat(lambda: operation(made), 100)  # whatever is done once
            gc.disable()
            forbid_system_calls()
            repeat(lambda: operation(made), 1000)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 77:
        pytest.skip("seccomp is not allowed here")
    return status


def test_the_rule_is_enforced():
    assert lone(lambda made: None) == 0
    assert lone(lambda made: os.getppid()) == -signal.SIGSYS
    assert lone(lambda event: event.wait(0.001), cmp.Event) == -signal.SIGSYS


def enter(made):
    with made:
        pass


def pair(made, **arguments):
    made.acquire(**arguments)
    made.release()


def set_and_clear(event):
    event.set()
    event.clear()


def notify(condition):
    with condition:
        condition.notify()
        condition.notify_all()


def held(lock):
    lock.acquire()
    return lock


def already_set(event):
    event.set()
    return event


def another_threads(lock):
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    return lock


FREE = {
    **{f"{kind}, {what}": (make, operation)
       for kind, make in {"Lock": cmp.Lock, "RLock": cmp.RLock, "Semaphore": cmp.Semaphore,
                          "Semaphore(64)": lambda: cmp.Semaphore(64), "Semaphore(65)": lambda: cmp.Semaphore(65),
                          "BoundedSemaphore": cmp.BoundedSemaphore, "Condition": cmp.Condition,
                          "Condition(Lock)": lambda: cmp.Condition(cmp.Lock())}.items()
       for what, operation in {
           "acquire and release": pair, "with": enter,
           "with a timeout": lambda made: pair(made, timeout=5),
           "without waiting": lambda made: pair(made, block=False),
       }.items()},
    "Lock, locked": (cmp.Lock, lambda lock: lock.locked()),
    "Lock, held, attempt": (lambda: held(cmp.Lock()), lambda lock: lock.acquire(False)),
    "Lock, held, repr": (lambda: held(cmp.Lock()), repr),
    "RLock, again": (lambda: held(cmp.RLock()), enter),
    "RLock, another thread's, attempt": (lambda: another_threads(cmp.RLock()), lambda lock: lock.acquire(False)),
    "Semaphore, none, attempt": (lambda: cmp.Semaphore(0), lambda semaphore: semaphore.acquire(timeout=0)),
    "Semaphore, value": (cmp.Semaphore, lambda semaphore: semaphore.get_value()),
    "Event, is_set": (cmp.Event, lambda event: event.is_set()),
    "Event, set and clear": (cmp.Event, set_and_clear),
    "Event, set again": (lambda: already_set(cmp.Event()), lambda event: event.set()),
    "Event, wait for what is set": (lambda: already_set(cmp.Event()), lambda event: event.wait()),
    "Event, wait(0)": (cmp.Event, lambda event: event.wait(0)),
    "Condition, notify nobody": (cmp.Condition, notify),
    "Barrier, looked at": (lambda: cmp.Barrier(2), lambda barrier: (barrier.n_waiting, barrier.broken)),
    "Lock, made and dropped": (lambda: None, lambda _: cmp.Lock()),
    "Event, made and dropped": (lambda: None, lambda _: cmp.Event()),
}


@pytest.mark.parametrize("what", FREE)
def test_no_system_call(what):
    make, operation = FREE[what]
    assert lone(operation, make) == 0, "a system call (SIGSYS)"
