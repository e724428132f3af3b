from multiprocessing import queues as _std
from queue import Empty as Empty
from queue import Full as Full
from typing import Any, TypeVar

__all__ = ["Empty", "Full", "JoinableQueue", "Queue", "SimpleQueue"]

_T = TypeVar("_T")

class Queue(_std.Queue[_T]): ...
class JoinableQueue(_std.JoinableQueue[_T], Queue[_T]): ...
class SimpleQueue(_std.SimpleQueue[_T]): ...

def __getattr__(name: str) -> Any: ...
