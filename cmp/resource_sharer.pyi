from multiprocessing.resource_sharer import *  # noqa: F403
from multiprocessing.resource_sharer import DupFd as DupFd
from multiprocessing.resource_sharer import __all__ as __all__
