from multiprocessing.spawn import _main as _main
from multiprocessing.spawn import freeze_support as freeze_support
from multiprocessing.spawn import get_command_line as get_command_line
from multiprocessing.spawn import get_executable as get_executable
from multiprocessing.spawn import get_preparation_data as get_preparation_data
from multiprocessing.spawn import import_main_path as import_main_path
from multiprocessing.spawn import is_forking as is_forking
from multiprocessing.spawn import prepare as prepare
from multiprocessing.spawn import set_executable as set_executable
from multiprocessing.spawn import spawn_main as spawn_main
from typing import Any

__all__ = [
    "_main",
    "freeze_support",
    "get_command_line",
    "get_executable",
    "get_preparation_data",
    "import_main_path",
    "set_executable",
]

ROOT: str

def __getattr__(name: str) -> Any: ...
