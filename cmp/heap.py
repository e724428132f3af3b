"""multiprocessing.heap, shared with the standard library."""
from multiprocessing import heap

from . import _std

_std.alias(__name__, heap)
