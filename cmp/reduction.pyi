from multiprocessing.reduction import *  # noqa: F403
from multiprocessing.reduction import HAVE_SEND_HANDLE as HAVE_SEND_HANDLE
from multiprocessing.reduction import AbstractReducer as AbstractReducer
from multiprocessing.reduction import DupFd as DupFd
from multiprocessing.reduction import __all__ as __all__
from multiprocessing.reduction import recvfds as recvfds
from multiprocessing.reduction import sendfds as sendfds
