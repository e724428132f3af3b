from multiprocessing.shared_memory import *  # noqa: F403
from multiprocessing.shared_memory import __all__ as __all__
