from multiprocessing import popen_spawn_posix as _std
from multiprocessing.process import BaseProcess
from typing import Any

from . import popen_fork

__all__ = ["Popen"]

class Popen(popen_fork.Popen, _std.Popen):
    def __init__(self, process_obj: BaseProcess) -> None: ...

def __getattr__(name: str) -> Any: ...
