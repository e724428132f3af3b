"""multiprocessing.resource_sharer, shared with the standard library."""
from multiprocessing import resource_sharer

from . import _std

_std.alias(__name__, resource_sharer)
