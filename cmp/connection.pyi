import _socket
from collections.abc import Iterable
from multiprocessing import connection as _std
from multiprocessing.connection import Client as Client
from multiprocessing.connection import Connection as Connection
from multiprocessing.connection import Listener as Listener
from multiprocessing.connection import answer_challenge as answer_challenge
from typing import Any

from . import _cmp

__all__ = ["Client", "Listener", "Pipe", "wait"]

class PipeEnd(_cmp.Connection, _std.Connection[Any, Any]):  # type: ignore[misc]
    def __new__(cls, handle: int, readable: bool = True, writable: bool = True) -> Connection[Any, Any]: ...  # type: ignore[misc]

def Pipe(duplex: bool = True) -> tuple[PipeEnd, PipeEnd]: ...
def deliver_challenge(connection: _std.Connection[Any, Any], authkey: bytes, digest_name: str = "sha256") -> None: ...
def wait(
    object_list: Iterable[_std.Connection[Any, Any] | _socket.socket | int],
    timeout: float | None = None,
) -> list[_std.Connection[Any, Any] | _socket.socket | int]: ...
def __getattr__(name: str) -> Any: ...
