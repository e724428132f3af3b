from collections.abc import Callable, Iterable
from multiprocessing import pool as _std
from multiprocessing.pool import ApplyResult as ApplyResult
from multiprocessing.pool import AsyncResult as AsyncResult
from multiprocessing.pool import IMapIterator as IMapIterator
from multiprocessing.pool import IMapUnorderedIterator as IMapUnorderedIterator
from multiprocessing.pool import MapResult as MapResult
from multiprocessing.pool import ThreadPool as ThreadPool
from typing import Any

from .context import BaseContext

__all__ = ["Pool", "ThreadPool"]

class Pool(_std.Pool):
    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | None = None,
    ) -> None: ...

def __getattr__(name: str) -> Any: ...
