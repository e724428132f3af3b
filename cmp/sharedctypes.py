"""ctypes objects in shared memory."""
from multiprocessing import sharedctypes as _std
from multiprocessing.sharedctypes import RawArray, RawValue, copy

from . import context
from ._std import fallback

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]
__getattr__ = fallback(_std)


def Value(typecode_or_type, *args, lock=True, ctx=None):
    """Return a ctypes object in shared memory; lock=False: bare, True: with an RLock, or with the lock given."""
    return _std.Value(typecode_or_type, *args, lock=lock, ctx=_or_default(ctx))


def Array(typecode_or_type, size_or_initializer, *, lock=True, ctx=None):
    """Return a ctypes array in shared memory; lock= as for Value."""
    return _std.Array(typecode_or_type, size_or_initializer, lock=lock, ctx=_or_default(ctx))


def synchronized(obj, lock=None, ctx=None):
    """Return a wrapper that guards a ctypes object in shared memory with a lock."""
    return _std.synchronized(obj, lock, _or_default(ctx))


def _or_default(ctx):
    return ctx or context._default_context.get_context()
