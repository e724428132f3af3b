"""Queues between processes."""
from multiprocessing import queues as _std
from multiprocessing.queues import Empty, Full

from ._std import SameRepr, fallback

__all__ = ["Empty", "Full", "JoinableQueue", "Queue", "SimpleQueue"]
__getattr__ = fallback(_std)


class Queue(SameRepr, _std.Queue):
    """A queue of any number of producers and consumers."""


class JoinableQueue(_std.JoinableQueue, Queue):
    """A queue whose join() waits until task_done() was called for every item."""


class SimpleQueue(SameRepr, _std.SimpleQueue):
    """A queue with put(), get(), empty() and close() only."""
