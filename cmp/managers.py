"""Managers: objects in a server process, used through proxies."""
from multiprocessing import managers as _std
from multiprocessing.managers import BaseProxy, Token

from . import context, pool
from ._std import fallback

__all__ = ["BaseManager", "BaseProxy", "SharedMemoryManager", "SyncManager", "Token"]
__getattr__ = fallback(_std)


class BaseManager(_std.BaseManager):
    """A server process that holds objects, and the means to reach them."""

    def __init__(self, address=None, authkey=None, serializer="pickle", ctx=None, *, shutdown_timeout=1.0):
        super().__init__(address, authkey, serializer, ctx or context._default_context.get_context(),
                         shutdown_timeout=shutdown_timeout)


class SyncManager(_std.SyncManager, BaseManager):
    """A manager with the usual types: list, dict, Namespace, Lock, Queue, Pool and so on."""


SyncManager.register("Pool", pool.Pool, _std.PoolProxy)


class SharedMemoryManager(_std.SharedMemoryManager, BaseManager):
    """A manager that unlinks the shared memory which it handed out."""

    def __init__(self, *args, **kwargs):
        if len(args) < 4 and kwargs.get("ctx") is None:
            kwargs["ctx"] = context._default_context.get_context()
        super().__init__(*args, **kwargs)
