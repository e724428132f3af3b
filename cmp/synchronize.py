"""Locks, semaphores, conditions, events and barriers."""
from multiprocessing import synchronize as _std

from ._std import SameRepr, fallback

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]
__getattr__ = fallback(_std)


class Lock(_std.Lock):
    """A lock that one process or thread holds at a time; any process or thread may release it."""


class RLock(_std.RLock):
    """A lock that its holder may take again; as many releases free it."""


class Semaphore(_std.Semaphore):
    """A counter that acquire() lowers, waiting while it is 0, and release() raises."""


class BoundedSemaphore(_std.BoundedSemaphore, Semaphore):
    """A semaphore that raises ValueError when it is released more often than acquired."""


class Condition(_std.Condition):
    """A condition variable on a lock."""


class Event(_std.Event):
    """A flag that processes can wait for."""


class Barrier(SameRepr, _std.Barrier):
    """A place where a fixed number of processes or threads wait for one another."""
