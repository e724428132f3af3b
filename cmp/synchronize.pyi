from collections.abc import Callable
from multiprocessing import synchronize as _std
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias

from . import _cmp

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

SEM_VALUE_MAX: int

_Seconds: TypeAlias = SupportsFloat | SupportsIndex

class SemLock(_std.SemLock):
    def locked(self) -> bool: ...

class Lock(_cmp.Lock, _std.Lock, SemLock):
    @property
    def _semlock(self) -> Any: ...

class RLock(_cmp.RLock, _std.RLock, SemLock):
    @property
    def _semlock(self) -> Any: ...

class Semaphore(_cmp.Semaphore, _std.Semaphore, SemLock):
    @property
    def _semlock(self) -> Any: ...

class BoundedSemaphore(_cmp.BoundedSemaphore, _std.BoundedSemaphore, Semaphore): ...

class Condition(_cmp.Condition, _std.Condition):
    def __init__(self, lock: Lock | RLock | None = None, *, ctx: object) -> None: ...

class Event(_cmp.Event, _std.Event): ...

class Barrier(_cmp.Barrier, _std.Barrier):
    def __init__(
        self,
        parties: SupportsIndex,
        action: Callable[[], object] | None = None,
        timeout: _Seconds | None = None,
        *,
        ctx: object,
    ) -> None: ...

def __getattr__(name: str) -> Any: ...
