import ctypes
from _ctypes import _CData, _SimpleCData
from collections.abc import Sequence
from ctypes import c_char
from multiprocessing import sharedctypes as _std
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import RawArray as RawArray
from multiprocessing.sharedctypes import RawValue as RawValue
from multiprocessing.sharedctypes import copy as copy
from multiprocessing.synchronize import Lock, RLock
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from . import heap

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]

_T = TypeVar("_T")
_C = TypeVar("_C", bound=_CData)
_Guard: TypeAlias = Literal[True] | Lock | RLock
_Content: TypeAlias = int | Sequence[Any]

# What lock=False gives stands before what a guard gives: the first that fits counts.
@overload
def Value(typecode_or_type: type[_C], *args: Any, lock: Literal[False], ctx: BaseContext | None = None) -> _C: ...
@overload
def Value(
    typecode_or_type: type[_SimpleCData[_T]], *args: Any, lock: _Guard = True, ctx: BaseContext | None = None
) -> Synchronized[_T]: ...
@overload
def Value(
    typecode_or_type: type[_C], *args: Any, lock: _Guard = True, ctx: BaseContext | None = None
) -> SynchronizedBase[_C]: ...
@overload
def Value(
    typecode_or_type: str, *args: Any, lock: _Guard = True, ctx: BaseContext | None = None
) -> Synchronized[Any]: ...
@overload
def Value(
    typecode_or_type: str | type[_CData], *args: Any, lock: bool | Lock | RLock = True, ctx: BaseContext | None = None
) -> Any: ...
@overload
def Array(
    typecode_or_type: type[_C], size_or_initializer: _Content, *, lock: Literal[False], ctx: BaseContext | None = None
) -> ctypes.Array[_C]: ...
@overload
def Array(
    typecode_or_type: type[c_char],
    size_or_initializer: _Content,
    *,
    lock: _Guard = True,
    ctx: BaseContext | None = None,
) -> SynchronizedString: ...
@overload
def Array(
    typecode_or_type: type[_SimpleCData[_T]],
    size_or_initializer: _Content,
    *,
    lock: _Guard = True,
    ctx: BaseContext | None = None,
) -> SynchronizedArray[_T]: ...
@overload
def Array(
    typecode_or_type: str, size_or_initializer: _Content, *, lock: _Guard = True, ctx: BaseContext | None = None
) -> SynchronizedArray[Any]: ...
@overload
def Array(
    typecode_or_type: str | type[_CData],
    size_or_initializer: _Content,
    *,
    lock: bool | Lock | RLock = True,
    ctx: BaseContext | None = None,
) -> Any: ...
@overload
def synchronized(obj: _SimpleCData[_T], lock: Any = None, ctx: BaseContext | None = None) -> Synchronized[_T]: ...
@overload
def synchronized(
    obj: ctypes.Array[c_char], lock: Any = None, ctx: BaseContext | None = None
) -> SynchronizedString: ...
@overload
def synchronized(
    obj: ctypes.Array[_SimpleCData[_T]], lock: Any = None, ctx: BaseContext | None = None
) -> SynchronizedArray[_T]: ...
@overload
def synchronized(obj: _C, lock: Any = None, ctx: BaseContext | None = None) -> SynchronizedBase[_C]: ...
def reduce_ctype(obj: _CData) -> tuple[Any, ...]: ...
def rebuild_ctype(type_: type[Any], wrapper: heap.BufferWrapper, length: int | None) -> Any: ...

class SynchronizedBase(_std.SynchronizedBase[_C]):
    def __init__(self, obj: Any, lock: Any = None, ctx: BaseContext | None = None) -> None: ...

class Synchronized(_std.Synchronized[_T], SynchronizedBase[_SimpleCData[_T]], Generic[_T]): ...
class SynchronizedArray(_std.SynchronizedArray[_T], SynchronizedBase[ctypes.Array[_SimpleCData[_T]]], Generic[_T]): ...
class SynchronizedString(_std.SynchronizedString, SynchronizedArray[bytes]): ...

def __getattr__(name: str) -> Any: ...
