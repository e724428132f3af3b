from multiprocessing import popen_fork as _std
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ["Popen"]

EXITCODE_UNKNOWN: int


class Watched:
    pidfd: int | None
    def interrupt(self) -> None: ...

class Popen(Watched, _std.Popen):
    def __init__(self, process_obj: BaseProcess) -> None: ...
    def poll(self, flag: int = 1) -> int | None: ...

def __getattr__(name: str) -> Any: ...
