"""Locks, semaphores, conditions, events and barriers.

What they do is in the native types of `_cmp`; here they get their names, their place among the standard library's
classes, and what other libraries look for in those.
"""
import functools
import sys
import time
from multiprocessing import synchronize as _std

from . import _cmp
from ._std import SameRepr, fallback

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]
__getattr__ = fallback(_std)


class SemLock(_std.SemLock):
    """The base of locks and semaphores; an instance made directly is the standard library's, on a named semaphore."""

    def locked(self):
        """Whether acquire() would wait."""
        return self._semlock._is_zero()


class _View:
    """What multiprocessing's locks have as `_semlock`, for libraries that ask it for private things."""

    name = None  # there is no file behind it

    def __init__(self, lock, kind):
        self._of, self.kind = lock, kind

    def __getattr__(self, name):
        return getattr(self._of, name)

    def __reduce__(self):
        return getattr, (self._of, "_semlock")

    def __enter__(self):
        return self._of.__enter__()

    def __exit__(self, *args):
        return self._of.__exit__(*args)

    @property
    def handle(self):
        return self._of._index()

    @property
    def maxvalue(self):
        return 1 if isinstance(self._of, (Lock, RLock)) else self._of._maximum()


@_cmp.own_methods
class Lock(_cmp.Lock, _std.Lock, SemLock):
    """A lock that one process or thread holds at a time; any process or thread may release it."""

    @property
    def _semlock(self):
        return _View(self, _std.SEMAPHORE)


@_cmp.own_methods
class RLock(_cmp.RLock, _std.RLock, SemLock):
    """A lock that its holder may take again; as many releases free it."""

    @property
    def _semlock(self):
        return _View(self, _std.RECURSIVE_MUTEX)


@_cmp.own_methods
class Semaphore(_cmp.Semaphore, _std.Semaphore, SemLock):
    """A counter that acquire() lowers, waiting while it is 0, and release() raises."""

    @property
    def _semlock(self):
        return _View(self, _std.SEMAPHORE)


@_cmp.own_methods
class BoundedSemaphore(_cmp.BoundedSemaphore, _std.BoundedSemaphore, Semaphore):
    """A semaphore that raises ValueError when it is released more often than acquired."""


def _wait_for(self, predicate, timeout=None):
    deadline = None if timeout is None else time.monotonic() + timeout
    while not (result := predicate()):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        self.wait(left)
    return result


def _notify_all(self):
    self.notify(n=sys.maxsize)


@_cmp.own_methods
class Condition(_cmp.Condition, _std.Condition):
    """A condition variable on a lock."""

    # wraps: introspection shows multiprocessing's signature, in which ctx has no default.
    @functools.wraps(_std.Condition.__init__)
    def __init__(self, lock=None, *, ctx=None):
        """lock: a Lock or RLock of cmp; None: an RLock of its own."""
        super().__init__(RLock() if lock is None else lock)

    def __init_subclass__(cls, **kwargs):
        """A subclass with a wait() or notify() of its own is called through it, as in multiprocessing."""
        super().__init_subclass__(**kwargs)
        if cls.wait is not Condition.wait and cls.wait_for is Condition.wait_for:
            cls.wait_for = _wait_for
        if cls.notify is not Condition.notify and cls.notify_all is Condition.notify_all:
            cls.notify_all = _notify_all

    def __repr__(self):
        return f"<{type(self).__name__}({self._lock}, {self._n_waiting()})>"


@_cmp.own_methods
class Event(_cmp.Event, _std.Event):
    """A flag that processes can wait for."""


@_cmp.own_methods
class Barrier(SameRepr, _cmp.Barrier, _std.Barrier):
    """A place where a fixed number of processes or threads wait for one another."""
