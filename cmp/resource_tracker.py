"""multiprocessing.resource_tracker, shared with the standard library."""
from multiprocessing import resource_tracker

from . import _std

_std.alias(__name__, resource_tracker)
