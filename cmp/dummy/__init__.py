"""multiprocessing.dummy, shared with the standard library: threads behind the same names."""
from multiprocessing import dummy
from multiprocessing.dummy import connection

from .. import _std

_std.alias(__name__, dummy)
# The import system would look in the folder of the module above and load a second copy.
_std.alias(__name__ + ".connection", connection)
