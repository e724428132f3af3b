"""What a child that starts as a fresh interpreter is told, and how it is told.

The pipe to the child carries two short pickles only; the preparation data and the process object are in a
memory file that the child inherits. So start() never waits for the child, however much it is given, and
never hangs on one that dies while it starts. Only where there is no memory file to be had do they go through
the pipe, as in the standard library.
"""
import contextlib
import io
import operator
import os
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

from . import _cmp, _hook, context, popen_fork, process
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


def find(module):
    """Code that imports this module of cmp, wherever it is and whatever `cmp` the current folder has."""
    return f"import sys; sys.path.insert(0, {ROOT!r}); import {module}; sys.path.remove({ROOT!r})"


def _memory_file(content):
    """The content in a file without a name, or None where there is none to be had."""
    try:
        file = open(os.memfd_create("cmp-start"), "w+b", buffering=0)
    except (OSError, AttributeError):
        return None
    try:
        _write_all(file, content)
        file.seek(0)
    except OSError:  # no memory, or RLIMIT_FSIZE
        file.close()
        return None
    return file


@contextlib.contextmanager
def packed(popen, process_obj):
    """While the child is started: all of `process_obj` in a file, and a pipe that tells that the parent lives.

    Gives the bytes to write into the child's own pipe, and the end of the other one that the parent is to keep.
    """
    data = get_preparation_data(process_obj._name)
    embryo = _cmp.Embryo()
    sentinel, parent_end = popen_fork.parent_pipe()
    with contextlib.ExitStack() as child_ends:
        child_ends.enter_context(popen_fork.closing(sentinel))
        try:
            yield _pack(popen, process_obj, data, embryo, sentinel, child_ends), parent_end
        except BaseException:
            popen_fork.close_ends(parent_end)
            embryo.abandon()
            raise
        embryo.sent()


def _pack(popen, process_obj, data, embryo, sentinel, child_ends):
    context.set_spawning_popen(popen)
    try:
        content = io.BytesIO()
        with embryo:  # the child will hold what these name, from now on
            reduction.dump(data, content)
            reduction.dump(process_obj, content)
        file = _memory_file(content.getbuffer())
        if file is None:  # through the pipe, as the standard library does
            source = content.getvalue()
        else:
            child_ends.enter_context(file)
            source = reduction.DupFd(file.fileno())
        first_words = io.BytesIO()
        reduction.dump(_first_word(process_obj, source, sentinel, embryo.place), first_words)
        reduction.dump(_InChild(_load_process), first_words)
        return first_words.getvalue()
    finally:
        context.set_spawning_popen(None)


def _first_word(process_obj, source, sentinel, place):
    """What the child unpickles first: it finds cmp wherever it is, then prepares and returns the data."""
    family = {
        "place": place and (reduction.DupFd(place[0]), *place[1:]),
        "start_method": context._default_context.get_start_method(allow_none=True),
        "installed": _hook.installed(),
        "parent_pid": process_obj._parent_pid if process_obj.daemon else None,
        "sentinel": reduction.DupFd(sentinel),
    }
    load = _InChild(_load_preparation_data, source, family)
    return _InChild(operator.getitem, [_InChild(exec, find("cmp.spawn")), load], 1)


def write_and_close(descriptor, data):
    """Write into the pipe of a child; one that is dead already is found out by who waits for it."""
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as pipe:
        _write_all(pipe, data)


def _write_all(file, data):
    data = memoryview(data)
    while data:
        data = data[file.write(data):]


def _join(memory, slot, gen):
    descriptor = memory.detach()
    os.set_inheritable(descriptor, False)
    _cmp.family_join(descriptor, slot, gen)


_unread = None


def _load_preparation_data(source, family):
    """In the child: become a member of the family, then return the data that prepare() is given."""
    global _unread
    if family["place"] is not None:
        _join(*family["place"])
    process.sentinel_from_start = sentinel = family["sentinel"].detach()
    os.set_inheritable(sentinel, False)
    if family["parent_pid"] is not None:
        process.end_with_parent(family["parent_pid"], sentinel)
    if family["installed"]:
        _hook.install()
    context._default_context.set_start_method(family["start_method"], force=True)
    _unread = io.BytesIO(source) if isinstance(source, bytes) else os.fdopen(source.detach(), "rb")
    return reduction.pickle.load(_unread)


def _load_process():
    """In the child, once prepare() has run: return the process object."""
    global _unread
    file, _unread = _unread, None
    with file:
        return reduction.pickle.load(file)
