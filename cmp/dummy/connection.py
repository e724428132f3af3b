"""multiprocessing.dummy.connection, shared with the standard library."""
from multiprocessing.dummy import connection

from .. import _std

_std.alias(__name__, connection)
