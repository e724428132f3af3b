"""multiprocessing.shared_memory, shared with the standard library."""
from multiprocessing import shared_memory

from . import _std

_std.alias(__name__, shared_memory)
