from collections.abc import Sequence
from multiprocessing.forkserver import ForkServer as ForkServer
from multiprocessing.forkserver import get_inherited_fds as get_inherited_fds
from multiprocessing.forkserver import read_signed as read_signed
from typing import Any, Literal

__all__ = ["connect_to_new_process", "ensure_running", "get_inherited_fds", "set_forkserver_preload"]

OWN_PRELOAD: tuple[str, ...]

def preload(text: str) -> list[str]: ...
def set_forkserver_preload(
    modules_names: list[str], *, on_error: Literal["ignore", "warn", "fail"] = "ignore"
) -> None: ...
def ensure_running() -> None: ...
def connect_to_new_process(fds: Sequence[int]) -> tuple[int, int]: ...
def __getattr__(name: str) -> Any: ...
