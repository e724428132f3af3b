"""The fork server: the standard library's, started with cmp in it.

One server serves the whole family, for cmp and for multiprocessing. What it loads before it forks is written
into its command line as the repr of a list; ours reads as the call that loads it, so that the server finds
cmp and the program's modules, has `import multiprocessing` mean what it means in the program, and treats a
failing import as the newest CPython does.
"""
import base64
import contextlib
import functools
import os
import pickle
import sys
import warnings
import zlib
from multiprocessing import forkserver as _std
from multiprocessing import process, spawn, util
from multiprocessing.forkserver import _forkserver, get_inherited_fds

from . import _cmp, _hook
from ._std import fallback

__all__ = ["connect_to_new_process", "ensure_running", "get_inherited_fds", "set_forkserver_preload"]
__getattr__ = fallback(_std)

# What nearly every child uses, so that it is there when the child is forked.
OWN_PRELOAD = ("cmp.connection", "cmp.queues", "cmp.spawn", "cmp.synchronize")


# Bytes of the server's command line that the description below may take; the kernel allows one argument 128 KiB.
LONGEST = 100_000


class _Preload(list):
    """The modules to preload; its repr is what the server evaluates."""

    def __init__(self, names, on_error="ignore"):
        super().__init__(names)
        self.on_error = on_error

    def __bool__(self):
        return False  # nothing for the standard library to add: all that the server is told is in the repr

    def __repr__(self):
        from .spawn import find
        data = spawn.get_preparation_data("ignore")
        told = {"names": list(self), "on_error": self.on_error, "installed": _hook.installed(), "memory": _memory(),
                "path": data["sys_path"], "argv": data["sys_argv"], "directory": data["orig_dir"],
                "main_path": data.get("init_main_from_path") if "__main__" in self else None}
        text = _packed(told)
        if len(text) > LONGEST:
            text = _packed({**told, "argv": None, "main_path": None})
        return (f"[exec({find('cmp.forkserver')!r}), "
                f"__import__('sys').modules['cmp.forkserver'].preload({text!r})][1]")


def _memory():
    """The descriptor of this family's shared memory, or None."""
    with contextlib.suppress(OSError):  # who makes the first lock is told
        _cmp.family_init()
    descriptor = _cmp.family_fd()
    return None if descriptor < 0 else descriptor


class _Util:
    """multiprocessing.util, except that the fork server inherits the family's shared memory too."""

    def __getattr__(self, name):
        return getattr(util, name)

    def spawnv_passfds(self, path, args, passfds):
        descriptor = _memory()
        return util.spawnv_passfds(path, args, passfds if descriptor is None else [*passfds, descriptor])


_std.util = _Util()


def _packed(told):
    return base64.b85encode(zlib.compress(pickle.dumps(told))).decode()


def preload(text):
    """In the server: load what the children are to find loaded. Returns nothing more to load."""
    told = pickle.loads(zlib.decompress(base64.b85decode(text)))
    if told["memory"] is not None:
        os.set_inheritable(told["memory"], False)
        _cmp.family_join(told["memory"])
    sys.path[:] = told["path"]
    if told["argv"] is not None:
        sys.argv[:] = told["argv"]
    process.ORIGINAL_DIR = told["directory"]
    for name in OWN_PRELOAD:
        __import__(name)
    if told["installed"]:
        _hook.install()
    for name in told["names"]:
        try:
            if name == "__main__":
                _import_main(told["main_path"])
            else:
                __import__(name)
        except ImportError as error:
            _failed(name, told["on_error"], error)
    util._flush_std_streams()  # or every child would write what the modules have written
    return []


def _import_main(path):
    if path is None:
        return
    process.current_process()._inheriting = True
    try:
        spawn.import_main_path(path)
    except (Exception, SystemExit) as error:  # a program may do anything
        raise ImportError(f"{path!r}: {error!r}") from error
    finally:
        del process.current_process()._inheriting


def _failed(name, on_error, error):
    if on_error == "fail":
        raise error
    if on_error == "warn":
        warnings.warn(f"Failed to preload module {name!r}: {error}", ImportWarning, stacklevel=2)


# wraps: introspection shows the running CPython's signature, while on_error= (3.15) works on every one.
@functools.wraps(_std.set_forkserver_preload)
def set_forkserver_preload(modules_names, *, on_error="ignore"):
    """Set the list of module names that the server tries to load before it forks.

    on_error says what a failing import does: "ignore", "warn", or "fail", which ends the server with the
    traceback, so that start() raises EOFError.
    """
    if on_error not in ("ignore", "warn", "fail"):
        raise ValueError(f"on_error must be 'ignore', 'warn', or 'fail', not {on_error!r}")
    _forkserver.set_forkserver_preload(modules_names)  # checks the names
    _forkserver._preload_modules = _Preload(modules_names, on_error)


def ensure_running():
    """Make sure that the server runs; start() does so by itself."""
    if not isinstance(_forkserver._preload_modules, _Preload):
        _forkserver._preload_modules = _Preload(_forkserver._preload_modules)
    _forkserver.ensure_running()


def connect_to_new_process(fds):
    """Have the server fork a child that gets `fds`; returns (status_r, data_w)."""
    ensure_running()
    return _forkserver.connect_to_new_process(fds)


@contextlib.contextmanager
def failures_explained():
    """Around the start of a child: say why the server may have gone away."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        if getattr(_forkserver._preload_modules, "on_error", None) == "fail" and not hasattr(error, "__notes__"):
            error.add_note("The fork server may have ended while it loaded the modules of "
                           "set_forkserver_preload(); its traceback is on stderr.")
        raise


if not isinstance(_forkserver._preload_modules, _Preload):
    _forkserver._preload_modules = _Preload(_forkserver._preload_modules)
