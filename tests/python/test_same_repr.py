"""A program that prints its objects prints the same under cmp."""
import multiprocessing
import re

import pytest

import cmp

MAKERS = {
    "Queue": lambda mp: mp.Queue(), "JoinableQueue": lambda mp: mp.JoinableQueue(),
    "SimpleQueue": lambda mp: mp.SimpleQueue(), "context": lambda mp: mp.get_context("spawn"),
    "Lock": lambda mp: mp.Lock(), "RLock": lambda mp: mp.RLock(), "Semaphore": lambda mp: mp.Semaphore(3),
    "BoundedSemaphore": lambda mp: mp.BoundedSemaphore(2), "Event": lambda mp: mp.Event(),
    "Condition": lambda mp: mp.Condition(), "Barrier": lambda mp: mp.Barrier(2), "Value": lambda mp: mp.Value("i", 3),
    "Array": lambda mp: mp.Array("i", 3), "Connection": lambda mp: mp.Pipe()[0],
    "Process": lambda mp: mp.Process(name="P"), "main process": lambda mp: mp.current_process(),
}


def blank(shown):
    return re.sub(r"0x[0-9a-f]+|c_int_Array_\d+", "", shown)


@pytest.mark.parametrize("what", MAKERS)
def test_same_as_the_standard_library(what):
    make = MAKERS[what]
    assert blank(repr(make(cmp))) == blank(repr(make(multiprocessing)))


def test_pool_and_manager():
    for make in (lambda mp: mp.Pool(1), lambda mp: mp.Manager()):
        with make(cmp) as ours, make(multiprocessing) as theirs:
            assert blank(repr(ours)) == blank(repr(theirs))


def test_a_subclass_shows_its_own_name():
    class Mine(cmp.queues.Queue):
        pass
    assert "test_same_repr" in repr(Mine(ctx=cmp.get_context()))
