"""Contexts: the standard library's, handing out what cmp makes."""
import functools
import sys
from multiprocessing import context as _std
from multiprocessing.context import (  # noqa: F401 (names of this module, as in multiprocessing)
    AuthenticationError,
    BufferTooShort,
    ProcessError,
    TimeoutError,
    assert_spawning,
    get_spawning_popen,
    reduction,
    set_spawning_popen,
)

from . import process
from ._std import SameRepr, fallback

__all__ = ()
__getattr__ = fallback(_std)


_synchronize = None  # the module, once it was used: an import statement in each call would cost more than a lock


def _load_synchronize():
    global _synchronize
    from . import synchronize
    _synchronize = synchronize
    return synchronize


class BaseContext(SameRepr, _std.BaseContext):
    """What multiprocessing offers, with one way to start processes."""

    def Manager(self):
        """Return a SyncManager whose server process is running."""
        from .managers import SyncManager
        manager = SyncManager(ctx=self.get_context())
        manager.start()
        return manager

    def Pipe(self, duplex=True):
        """Return two connected Connection objects; with duplex=False the first receives, the second sends."""
        from .connection import Pipe
        return Pipe(duplex)

    def Lock(self):
        """Return a lock that one process or thread holds at a time."""
        return (_synchronize or _load_synchronize()).Lock()

    def RLock(self):
        """Return a lock that its holder may take again."""
        return (_synchronize or _load_synchronize()).RLock()

    def Condition(self, lock=None):
        """Return a condition variable, on `lock` or an RLock of its own."""
        return (_synchronize or _load_synchronize()).Condition(lock)

    def Semaphore(self, value=1):
        """Return a semaphore of `value` units."""
        return (_synchronize or _load_synchronize()).Semaphore(value)

    def BoundedSemaphore(self, value=1):
        """Return a semaphore whose value never exceeds the initial one."""
        return (_synchronize or _load_synchronize()).BoundedSemaphore(value)

    def Event(self):
        """Return an event, not set."""
        return (_synchronize or _load_synchronize()).Event()

    def Barrier(self, parties, action=None, timeout=None):
        """Return a barrier for `parties` processes or threads."""
        return (_synchronize or _load_synchronize()).Barrier(parties, action, timeout)

    def Queue(self, maxsize=0):
        """Return a queue; maxsize <= 0 means without bound."""
        from .queues import Queue
        return Queue(maxsize, ctx=self.get_context())

    def JoinableQueue(self, maxsize=0):
        """Return a queue with task_done() and join()."""
        from .queues import JoinableQueue
        return JoinableQueue(maxsize, ctx=self.get_context())

    def SimpleQueue(self):
        """Return a queue with put(), get(), empty() and close() only."""
        from .queues import SimpleQueue
        return SimpleQueue(ctx=self.get_context())

    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
        """Return a pool of worker processes."""
        from .pool import Pool
        return Pool(processes, initializer, initargs, maxtasksperchild, context=self.get_context())

    def RawValue(self, typecode_or_type, *args):
        """Return a ctypes object in shared memory, without a lock."""
        from .sharedctypes import RawValue
        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type, size_or_initializer):
        """Return a ctypes array in shared memory, without a lock."""
        from .sharedctypes import RawArray
        return RawArray(typecode_or_type, size_or_initializer)

    def Value(self, typecode_or_type, *args, lock=True):
        """Return a ctypes object in shared memory with a lock."""
        from .sharedctypes import Value
        return Value(typecode_or_type, *args, lock=lock, ctx=self.get_context())

    def Array(self, typecode_or_type, size_or_initializer, *, lock=True):
        """Return a ctypes array in shared memory with a lock."""
        from .sharedctypes import Array
        return Array(typecode_or_type, size_or_initializer, lock=lock, ctx=self.get_context())

    def freeze_support(self):
        """In a frozen executable started as a child: run that child and exit."""
        if getattr(sys, "frozen", False):
            from .spawn import freeze_support
            freeze_support()

    # wraps: introspection shows the running CPython's signature, while on_error= (3.15) works on every one.
    @functools.wraps(_std.BaseContext.set_forkserver_preload)
    def set_forkserver_preload(self, module_names, *, on_error="ignore"):
        from .forkserver import set_forkserver_preload
        set_forkserver_preload(module_names, on_error=on_error)

    def get_context(self, method=None):
        """Return the context of start method `method`, or this one."""
        if method is None:
            return self
        try:
            context = _concrete_contexts[method]
        except (KeyError, TypeError):
            raise ValueError(f"cannot find context for {method!r}") from None
        context._check_available()
        return context


class Process(process.BaseProcess, _std.Process):
    """A process started by the method that the program has chosen."""

    @staticmethod
    def _Popen(process_obj):
        return _default_context.get_context().Process._Popen(process_obj)

    @staticmethod
    def _after_fork():
        return _default_context.get_context().Process._after_fork()


class DefaultContext(_std.DefaultContext, BaseContext):
    """The context behind the functions of the package; its start method may be set once."""

    Process = Process

    @functools.wraps(_std.DefaultContext.__init__)
    def __init__(self, context=None):
        if context is not None:
            self._default_context = context
        self._actual_context = None

    @functools.cached_property
    def _default_context(self):
        return _concrete_contexts[_std._default_context._default_context.get_start_method()]

    def get_all_start_methods(self):
        """Return the names of the start methods, the default one first."""
        default = self._default_context.get_start_method()
        return [default, *(name for name in _concrete_contexts if name != default)]


class ForkProcess(process.BaseProcess, _std.ForkProcess):
    """A process started by fork."""

    @staticmethod
    def _Popen(process_obj):
        from .popen_fork import Popen
        return Popen(process_obj)


class SpawnProcess(process.BaseProcess, _std.SpawnProcess):
    """A process started as a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj):
        from .popen_spawn_posix import Popen
        return Popen(process_obj)


class ForkServerProcess(process.BaseProcess, _std.ForkServerProcess):
    """A process forked by a server that is itself a fresh interpreter."""

    @staticmethod
    def _Popen(process_obj):
        from .popen_forkserver import Popen
        return Popen(process_obj)


class ForkContext(_std.ForkContext, BaseContext):
    Process = ForkProcess


class SpawnContext(_std.SpawnContext, BaseContext):
    Process = SpawnProcess


class ForkServerContext(_std.ForkServerContext, BaseContext):
    Process = ForkServerProcess


_concrete_contexts = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}
_default_context = DefaultContext()


def _force_start_method(method):
    _default_context._actual_context = _concrete_contexts[method]
