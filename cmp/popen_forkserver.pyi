from multiprocessing import popen_forkserver as _std
from multiprocessing.process import BaseProcess
from typing import Any

from .popen_fork import Watched

__all__ = ["Popen"]

class Popen(Watched, _std.Popen):
    def __init__(self, process_obj: BaseProcess) -> None: ...
    def poll(self, flag: int = 1) -> int | None: ...

def __getattr__(name: str) -> Any: ...
