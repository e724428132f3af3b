import _socket
from collections.abc import Iterable
from multiprocessing import connection as _std
from multiprocessing.connection import Client as Client
from multiprocessing.connection import Connection as Connection
from multiprocessing.connection import Listener as Listener
from multiprocessing.connection import answer_challenge as answer_challenge
from multiprocessing.connection import deliver_challenge as deliver_challenge
from typing import Any

from . import _cmp

__all__ = ["Client", "Listener", "Pipe", "wait"]

class PipeEnd(_cmp.Connection, _std.Connection[Any, Any]):  # type: ignore[misc]
    def __new__(cls, handle: int, readable: bool = True, writable: bool = True) -> Connection[Any, Any]: ...  # type: ignore[misc]

def Pipe(duplex: bool = True) -> tuple[PipeEnd, PipeEnd]: ...
def wait(
    object_list: Iterable[_std.Connection[Any, Any] | _socket.socket | int],
    timeout: float | None = None,
) -> list[_std.Connection[Any, Any] | _socket.socket | int]: ...
def __getattr__(name: str) -> Any: ...
