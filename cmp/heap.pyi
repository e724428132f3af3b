from multiprocessing import heap as _std
from typing import Any, TypeAlias

from ._cmp import Block

__all__ = ["BufferWrapper"]

_Piece: TypeAlias = tuple[Arena, int, int]

class Arena(_std.Arena):
    buffer: Block  # type: ignore[assignment]

class Heap(_std.Heap):
    def malloc(self, size: int) -> _Piece: ...  # type: ignore[override]
    def free(self, block: _Piece) -> None: ...  # type: ignore[override]

class BufferWrapper(_std.BufferWrapper): ...

def reduce_arena(a: Arena) -> tuple[Any, ...]: ...
def rebuild_arena(size: int, dupfd: Block) -> Arena: ...
def __getattr__(name: str) -> Any: ...
