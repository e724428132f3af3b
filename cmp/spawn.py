"""What a child that starts as a fresh interpreter is told, and how it is told.

The pipe to the child carries two short pickles only; the preparation data and the process object are in a
memory file that the child inherits. So start() never waits for the child, however much it is given, and
never hangs on one that dies while it starts.
"""
import contextlib
import io
import operator
import os
import tempfile
from multiprocessing import reduction
from multiprocessing import spawn as _std
from multiprocessing.spawn import (
    _main,
    freeze_support,
    get_command_line,
    get_executable,
    get_preparation_data,
    import_main_path,
    set_executable,
)

from . import _hook, context, process
from ._std import fallback

__all__ = ["_main", "freeze_support", "get_command_line", "get_executable", "get_preparation_data",
           "import_main_path", "set_executable"]
__getattr__ = fallback(_std)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class _InChild:
    """Pickles to a call that the child makes while it unpickles, in the order of the pickle."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def _memory_file():
    try:
        return os.fdopen(os.memfd_create("cmp-start"), "w+b")
    except OSError:  # refused by this kernel or sandbox
        return tempfile.TemporaryFile()


@contextlib.contextmanager
def packed(popen, process_obj):
    """While the child is started: the bytes to write into its pipe, and in a file all of `process_obj`."""
    data = get_preparation_data(process_obj._name)
    with _memory_file() as file:
        context.set_spawning_popen(popen)
        try:
            reduction.dump(data, file)
            reduction.dump(process_obj, file)
            file.seek(0)
            first_words = io.BytesIO()
            reduction.dump(_first_word(popen, process_obj, file), first_words)
            reduction.dump(_InChild(_load_process), first_words)
        finally:
            context.set_spawning_popen(None)
        yield first_words.getvalue()


def _first_word(popen, process_obj, file):
    """What the child unpickles first: it finds cmp wherever it is, then prepares and returns the data."""
    family = {
        "start_method": context._default_context.get_start_method(allow_none=True),
        "installed": _hook.installed(),
        "parent_pid": process_obj._parent_pid if process_obj.daemon and popen.method == "spawn" else None,
    }
    find_cmp = f"import sys\nif {ROOT!r} not in sys.path: sys.path.append({ROOT!r})"
    load = _InChild(_load_preparation_data, reduction.DupFd(file.fileno()), family)
    return _InChild(operator.getitem, [_InChild(exec, find_cmp), load], 1)


_unread = None


def _load_preparation_data(dup_fd, family):
    """In the child: become a member of the family, then return the data that prepare() is given."""
    global _unread
    if family["parent_pid"] is not None:
        process.end_with_parent(family["parent_pid"])
    if family["installed"]:
        _hook.install()
    context._default_context.set_start_method(family["start_method"], force=True)
    _unread = os.fdopen(dup_fd.detach(), "rb")
    return reduction.pickle.load(_unread)


def _load_process():
    """In the child, once prepare() has run: return the process object."""
    global _unread
    file, _unread = _unread, None
    with file:
        return reduction.pickle.load(file)
