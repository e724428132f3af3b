import ctypes
from _ctypes import _CData, _SimpleCData
from collections.abc import Sequence
from ctypes import c_char
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import RawArray as RawArray
from multiprocessing.sharedctypes import RawValue as RawValue
from multiprocessing.sharedctypes import Synchronized as Synchronized
from multiprocessing.sharedctypes import SynchronizedArray as SynchronizedArray
from multiprocessing.sharedctypes import SynchronizedBase as SynchronizedBase
from multiprocessing.sharedctypes import SynchronizedString as SynchronizedString
from multiprocessing.sharedctypes import copy as copy
from multiprocessing.sharedctypes import synchronized as synchronized
from multiprocessing.synchronize import Lock, RLock
from typing import Any, Literal, TypeAlias, TypeVar, overload

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
def __getattr__(name: str) -> Any: ...
