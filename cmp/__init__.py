"""multiprocessing for Linux, rebuilt in C: `import cmp as multiprocessing`.

The names are those of the newest CPython's multiprocessing, on every supported CPython, and mean the same;
where cmp differs on purpose is said in docs/differences.md. Beyond them: `install()` makes `import
multiprocessing` mean cmp in the running process, as `python -m cmp script.py` does for a whole program.
"""
from . import context, reduction  # noqa: F401 (reduction: an attribute of the package, as in multiprocessing)
from ._hook import install as install
from ._version import version as __version__  # noqa: F401 (for programs)

__all__ = [name for name in dir(context._default_context) if not name.startswith("_")]
globals().update((name, getattr(context._default_context, name)) for name in __all__)

# The levels of the package's logger below DEBUG and between INFO and WARNING, as in multiprocessing.
SUBDEBUG = 5
SUBWARNING = 25
