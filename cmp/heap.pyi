from multiprocessing.heap import *  # noqa: F403
from multiprocessing.heap import Arena as Arena
from multiprocessing.heap import Heap as Heap
from multiprocessing.heap import __all__ as __all__
