from multiprocessing.util import *  # noqa: F403
from multiprocessing.util import DEBUG as DEBUG
from multiprocessing.util import INFO as INFO
from multiprocessing.util import MAXFD as MAXFD
from multiprocessing.util import NOTSET as NOTSET
from multiprocessing.util import __all__ as __all__
from multiprocessing.util import is_abstract_socket_namespace as is_abstract_socket_namespace
from multiprocessing.util import spawnv_passfds as spawnv_passfds
