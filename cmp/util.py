"""multiprocessing.util, shared with the standard library."""
from multiprocessing import util

from . import _std

_std.alias(__name__, util)
