"""Managers: objects in a server process, used through proxies."""
import contextlib
import types
from collections.abc import MutableSet
from multiprocessing import managers as _std
from multiprocessing.managers import BaseProxy, Token

from . import context, pool, shared_memory
from ._std import SameRepr, fallback

__all__ = ["BaseManager", "BaseProxy", "SharedMemoryManager", "SyncManager", "Token"]
__getattr__ = fallback(_std)


class BaseManager(SameRepr, _std.BaseManager):
    """A server process that holds objects, and the means to reach them."""

    def __init__(self, address=None, authkey=None, serializer="pickle", ctx=None, *, shutdown_timeout=1.0):
        super().__init__(address, authkey, serializer, ctx or context._default_context.get_context(),
                         shutdown_timeout=shutdown_timeout)


class SyncManager(_std.SyncManager, BaseManager):
    """A manager with the usual types: list, dict, Namespace, Lock, Queue, Pool and so on."""


SyncManager.register("Pool", pool.Pool, _std.PoolProxy)

if not hasattr(_std, "SetProxy"):  # before 3.14

    def _in_place(name):
        """The method `name` of an operator like |=, after which the proxy stays what it is."""
        def method(self, value):
            answer = self._callmethod(name, (value,))
            return answer if answer is NotImplemented else self
        method.__name__ = name
        return method

    class SetProxy(_std.MakeProxyType("SetProxy", (
            "__and__", "__contains__", "__ge__", "__gt__", "__iand__", "__ior__", "__isub__", "__iter__", "__ixor__",
            "__le__", "__len__", "__lt__", "__or__", "__rand__", "__ror__", "__rsub__", "__rxor__", "__sub__",
            "__xor__", "add", "clear", "copy", "difference", "difference_update", "discard", "intersection",
            "intersection_update", "isdisjoint", "issubset", "issuperset", "pop", "remove", "symmetric_difference",
            "symmetric_difference_update", "union", "update"))):
        """A set of the server."""

        _method_to_typeid_ = {"__iter__": "Iterator"}
        __iand__, __ior__, __isub__, __ixor__ = map(_in_place, ("__iand__", "__ior__", "__isub__", "__ixor__"))
        __class_getitem__ = classmethod(types.GenericAlias)

    MutableSet.register(SetProxy)
    SyncManager.register("set", set, SetProxy)


class _SharedMemoryTracker(_std._SharedMemoryTracker):
    """The names of the segments that a manager has handed out."""

    def destroy_segment(self, segment_name):
        self.segment_names.remove(segment_name)
        # Attaching would fail for one that was unlinked meanwhile, and the rest of them would stay.
        with contextlib.suppress(FileNotFoundError):
            shared_memory._unlink("/" + segment_name)


class SharedMemoryServer(_std.SharedMemoryServer):
    """The server process of a SharedMemoryManager."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.shared_memory_context = _SharedMemoryTracker(self.shared_memory_context.shared_memory_context_name)


class SharedMemoryManager(_std.SharedMemoryManager, BaseManager):
    """A manager that unlinks the shared memory which it handed out."""

    _Server = SharedMemoryServer

    def __init__(self, *args, **kwargs):
        if len(args) < 4 and kwargs.get("ctx") is None:
            kwargs["ctx"] = context._default_context.get_context()
        super().__init__(*args, **kwargs)

    def SharedMemory(self, size):
        """Return a new SharedMemory, which goes with the manager."""
        return self._hand_out(shared_memory.SharedMemory, size=size, create=True)

    def ShareableList(self, sequence):
        """Return a new ShareableList, which goes with the manager."""
        return self._hand_out(shared_memory.ShareableList, sequence)

    def _hand_out(self, make, *args, **kwargs):
        with self._Client(self._address, authkey=self._authkey) as connection:
            made = make(*args, **kwargs)
            memory = getattr(made, "shm", made)
            try:
                _std.dispatch(connection, None, "track_segment", (memory.name,))
            except BaseException:
                memory.unlink()
                raise
        return made
