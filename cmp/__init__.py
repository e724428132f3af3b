"""multiprocessing for Linux, rebuilt in C: `import cmp as multiprocessing`.

The names are those of the newest CPython's multiprocessing, on every supported CPython, and mean the same;
where cmp differs on purpose is said in docs/differences.md. Beyond them: `install()` makes `import
multiprocessing` mean cmp in the running process, as `python -m cmp script.py` does for a whole program;
`OwnerDiedWarning` is emitted when a lock is taken over from a process that ended while it held it;
`shared_array()` returns a NumPy array in shared memory; `check()` verifies the shared memory of this family of
processes and returns what is wrong, a list of strings.
"""
import importlib

from . import context, reduction  # noqa: F401 (reduction: an attribute of the package, as in multiprocessing)
from ._cmp import OwnerDiedWarning as OwnerDiedWarning
from ._cmp import check as check
from ._hook import install as install
from ._version import version as __version__  # noqa: F401 (for programs)

__all__ = [name for name in dir(context._default_context) if not name.startswith("_")]
globals().update((name, getattr(context._default_context, name)) for name in __all__)
__all__ += ["OwnerDiedWarning", "shared_array"]

# The levels of the package's logger below DEBUG and between INFO and WARNING, as in multiprocessing.
SUBDEBUG = 5
SUBWARNING = 25

# In multiprocessing these become attributes of the package as soon as something uses them, and programs rely on it.
_SUBMODULES = ("connection", "dummy", "forkserver", "heap", "managers", "pool", "popen_fork", "popen_forkserver",
               "popen_spawn_posix", "process", "queues", "resource_sharer", "resource_tracker", "shared_memory",
               "sharedctypes", "spawn", "synchronize", "util")


def __getattr__(name):
    if name == "shared_array":  # not every program needs it, and imports cost
        from .arrays import shared_array
        globals()[name] = shared_array
        return shared_array
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
