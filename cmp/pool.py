"""Pools of worker processes and of threads."""
from multiprocessing import pool as _std
from multiprocessing.pool import ThreadPool

from . import context as _context
from ._std import SameRepr, fallback

__all__ = ["Pool", "ThreadPool"]
__getattr__ = fallback(_std)


class Pool(SameRepr, _std.Pool):
    """A fixed number of worker processes that run tasks."""

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None):
        context = context or _context._default_context.get_context()
        super().__init__(processes, initializer, initargs, maxtasksperchild, context)
