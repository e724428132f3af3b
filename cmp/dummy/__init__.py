"""multiprocessing.dummy, shared with the standard library: threads behind the same names."""
from multiprocessing import dummy

from .. import _std

_std.alias(__name__, dummy)
