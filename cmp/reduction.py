"""multiprocessing.reduction, shared with the standard library."""
from multiprocessing import reduction

from . import _std

_std.alias(__name__, reduction)
