from collections.abc import Iterable
from multiprocessing import shared_memory as _std
from typing import SupportsIndex, TypeVar, overload

__all__ = ["ShareableList", "SharedMemory"]

_SLT = TypeVar("_SLT", int, float, bool, str, bytes, None)

class SharedMemory(_std.SharedMemory):
    def __init__(
        self,
        name: str | None = None,
        create: bool = False,
        size: SupportsIndex = 0,
        *,
        track: bool = True,
        reserve: bool = False,
    ) -> None: ...
    @property
    def buf(self) -> memoryview: ...

class ShareableList(_std.ShareableList[_SLT]):
    shm: SharedMemory
    @overload
    def __init__(self, sequence: None = None, *, name: str | None = None) -> None: ...
    @overload
    def __init__(self, sequence: Iterable[_SLT], *, name: str | None = None) -> None: ...
    def __getitem__(self, position: SupportsIndex) -> _SLT: ...
    def __setitem__(self, position: SupportsIndex, value: _SLT) -> None: ...
