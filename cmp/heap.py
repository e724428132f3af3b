"""Memory for shared ctypes objects: each piece is a block of the family's memory, which goes with its last view.

multiprocessing cuts its pieces out of files of its own, with a free list; here the core does that, so a heap has
nothing to keep and its pieces need no finalizer.
"""
import mmap
import sys
from multiprocessing import heap as _std

from ._cmp import Block
from ._std import fallback

__all__ = ["BufferWrapper"]
__getattr__ = fallback(_std)


class Arena(_std.Arena):
    """`size` bytes of shared memory: `buffer`."""

    def __init__(self, size, fd=-1):
        if fd != -1:
            raise ValueError(f"an arena is no file: fd must be -1, not {fd!r}")
        self.size, self.fd = size, fd
        self.buffer = Block(size)


class Heap(_std.Heap):
    """Hands out pieces of shared memory as (arena, start, stop); each is an arena of its own."""

    def __init__(self, size=mmap.PAGESIZE):
        super().__init__(size)

    def malloc(self, size):
        """Return a piece of at least `size` bytes."""
        _check_size(size)
        return Arena(size), 0, size

    def free(self, block):
        """Let go of a piece: its memory goes when nobody has a view of it."""


class BufferWrapper(_std.BufferWrapper):
    """`size` bytes of shared memory, zeroed, that travel by reference to any process of the family."""

    _heap = Heap()

    def __init__(self, size):
        self._state = self._heap.malloc(size), size


def _check_size(size):
    if size < 0:
        raise ValueError(f"Size {size:n} out of range")
    if size >= sys.maxsize:
        raise OverflowError(f"Size {size:n} too large")


def reduce_arena(a):
    """An arena travels as its block."""
    return rebuild_arena, (a.size, a.buffer)


def rebuild_arena(size, dupfd):
    """The arena of that block, which multiprocessing has a descriptor for."""
    arena = Arena.__new__(Arena)
    arena.size, arena.fd, arena.buffer = size, -1, dupfd
    return arena


_std.reduction.register(Arena, reduce_arena)
