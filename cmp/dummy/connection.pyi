from multiprocessing.dummy.connection import *  # noqa: F403
from multiprocessing.dummy.connection import Connection as Connection
from multiprocessing.dummy.connection import __all__ as __all__
from multiprocessing.dummy.connection import families as families
