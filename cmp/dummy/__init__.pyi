from multiprocessing.dummy import *  # noqa: F403
from multiprocessing.dummy import Array as Array
from multiprocessing.dummy import DummyProcess as DummyProcess
from multiprocessing.dummy import Namespace as Namespace
from multiprocessing.dummy import Value as Value
from multiprocessing.dummy import __all__ as __all__
from multiprocessing.dummy import shutdown as shutdown
