import ctypes
from _ctypes import _CData, _SimpleCData
from collections.abc import Callable, Iterable, Sequence
from ctypes import c_char
from logging import Logger
from multiprocessing.context import _LockLike
from multiprocessing.process import BaseProcess
from os import PathLike
from types import ModuleType
from typing import Any, Literal, TypeAlias, TypeVar, overload

from . import context as context
from . import managers, pool, queues, synchronize
from . import process as process
from ._cmp import OwnerDiedWarning as OwnerDiedWarning
from ._cmp import check as check
from .arrays import shared_array as shared_array
from .connection import PipeEnd
from .context import AuthenticationError as AuthenticationError
from .context import BufferTooShort as BufferTooShort
from .context import Process as Process
from .context import ProcessError as ProcessError
from .context import TimeoutError as TimeoutError
from .sharedctypes import Synchronized, SynchronizedArray, SynchronizedBase, SynchronizedString

__all__ = [
    "Array",
    "AuthenticationError",
    "Barrier",
    "BoundedSemaphore",
    "BufferTooShort",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "OwnerDiedWarning",
    "Pipe",
    "Pool",
    "Process",
    "ProcessError",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "Semaphore",
    "SimpleQueue",
    "TimeoutError",
    "Value",
    "active_children",
    "allow_connection_pickling",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "log_to_stderr",
    "parent_process",
    "reducer",
    "set_executable",
    "set_forkserver_preload",
    "set_start_method",
    "shared_array",
]

__version__: str
SUBDEBUG: int
SUBWARNING: int
reducer: ModuleType

_T = TypeVar("_T")
_C = TypeVar("_C", bound=_CData)
_Guard: TypeAlias = Literal[True] | _LockLike
_Content: TypeAlias = int | Sequence[Any]

def install() -> None: ...

# Processes
def active_children() -> list[BaseProcess]: ...
def cpu_count() -> int: ...
def current_process() -> BaseProcess: ...
def parent_process() -> BaseProcess | None: ...

# Start methods
def freeze_support() -> None: ...
def get_all_start_methods() -> list[str]: ...
@overload
def get_context(method: None = None) -> context.DefaultContext: ...
@overload
def get_context(method: Literal["fork"]) -> context.ForkContext: ...
@overload
def get_context(method: Literal["spawn"]) -> context.SpawnContext: ...
@overload
def get_context(method: Literal["forkserver"]) -> context.ForkServerContext: ...
@overload
def get_context(method: str | None) -> context.BaseContext: ...
@overload
def get_start_method(allow_none: Literal[False] = False) -> str: ...
@overload
def get_start_method(allow_none: bool) -> str | None: ...
def set_executable(executable: str | bytes | PathLike[str] | PathLike[bytes]) -> None: ...
def set_forkserver_preload(
    module_names: list[str], *, on_error: Literal["ignore", "warn", "fail"] = "ignore"
) -> None: ...
def set_start_method(method: str | None, force: bool = False) -> None: ...

# Logging
def get_logger() -> Logger: ...
def log_to_stderr(level: int | str | None = None) -> Logger: ...

# Connections, queues, pools, managers
def JoinableQueue(maxsize: int = 0) -> queues.JoinableQueue[Any]: ...
def Manager() -> managers.SyncManager: ...
def Pipe(duplex: bool = True) -> tuple[PipeEnd, PipeEnd]: ...
def Pool(
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    maxtasksperchild: int | None = None,
) -> pool.Pool: ...
def Queue(maxsize: int = 0) -> queues.Queue[Any]: ...
def SimpleQueue() -> queues.SimpleQueue[Any]: ...
def allow_connection_pickling() -> None: ...

# Synchronization
def Barrier(
    parties: int, action: Callable[..., object] | None = None, timeout: float | None = None
) -> synchronize.Barrier: ...
def BoundedSemaphore(value: int = 1) -> synchronize.BoundedSemaphore: ...
def Condition(lock: _LockLike | None = None) -> synchronize.Condition: ...
def Event() -> synchronize.Event: ...
def Lock() -> synchronize.Lock: ...
def RLock() -> synchronize.RLock: ...
def Semaphore(value: int = 1) -> synchronize.Semaphore: ...

# Shared ctypes
@overload
def RawValue(typecode_or_type: type[_C], *args: Any) -> _C: ...
@overload
def RawValue(typecode_or_type: str, *args: Any) -> Any: ...
@overload
def RawArray(typecode_or_type: type[_C], size_or_initializer: _Content) -> ctypes.Array[_C]: ...
@overload
def RawArray(typecode_or_type: str, size_or_initializer: _Content) -> Any: ...
@overload
def Value(typecode_or_type: type[_C], *args: Any, lock: Literal[False]) -> _C: ...
@overload
def Value(typecode_or_type: type[_SimpleCData[_T]], *args: Any, lock: _Guard = True) -> Synchronized[_T]: ...
@overload
def Value(typecode_or_type: type[_C], *args: Any, lock: _Guard = True) -> SynchronizedBase[_C]: ...
@overload
def Value(typecode_or_type: str, *args: Any, lock: _Guard = True) -> Synchronized[Any]: ...
@overload
def Value(typecode_or_type: str | type[_CData], *args: Any, lock: bool | _LockLike = True) -> Any: ...
@overload
def Array(typecode_or_type: type[_C], size_or_initializer: _Content, *, lock: Literal[False]) -> ctypes.Array[_C]: ...
@overload
def Array(
    typecode_or_type: type[c_char], size_or_initializer: _Content, *, lock: _Guard = True
) -> SynchronizedString: ...
@overload
def Array(
    typecode_or_type: type[_SimpleCData[_T]], size_or_initializer: _Content, *, lock: _Guard = True
) -> SynchronizedArray[_T]: ...
@overload
def Array(
    typecode_or_type: str, size_or_initializer: _Content, *, lock: _Guard = True
) -> SynchronizedArray[Any]: ...
@overload
def Array(
    typecode_or_type: str | type[_CData], size_or_initializer: _Content, *, lock: bool | _LockLike = True
) -> Any: ...
