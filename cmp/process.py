"""Process objects: the standard library's, tied to the life of their parent.

The state of a process (who it is, its children, its parent) stays in multiprocessing.process, so that logging
and every other client of the standard library sees one truth.
"""
import os
from multiprocessing import process as _std
from multiprocessing.process import active_children, current_process, parent_process

from . import _cmp
from ._std import fallback

__all__ = ["BaseProcess", "active_children", "current_process", "parent_process"]
__getattr__ = fallback(_std)


class BaseProcess(_std.BaseProcess):
    """A process of its own that runs `target(*args, **kwargs)`; the counterpart of threading.Thread.

    A daemonic process ends at once when its parent process is gone, also when the parent was killed.
    """

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None):
        assert group is None, f"group argument must be None for now, not {group!r}"
        args = _converted(tuple, args, "args", f"for one argument write args=({args!r},)")
        kwargs = _converted(dict, kwargs or {}, "kwargs", "write kwargs={'name': value}")
        super().__init__(group, target, name, args, kwargs, daemon=daemon)

    def interrupt(self):
        """Send SIGINT to the process, which raises KeyboardInterrupt in its main thread."""
        self._check_closed()
        self._popen.interrupt()

    def _bootstrap(self, parent_sentinel=None):
        from . import context
        if self._start_method is not None:
            context._force_start_method(self._start_method)
        parent_sentinel = _take_sentinel(parent_sentinel)
        if self.daemon:
            end_with_parent(self._parent_pid, -1 if parent_sentinel is None else parent_sentinel)
        try:
            return super()._bootstrap(parent_sentinel)
        finally:
            _cmp.leave()  # os._exit follows, which runs no exit function of C


def _converted(kind, value, what, remedy):
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        named = TypeError if isinstance(error, TypeError) else ValueError
        raise named(f"{what}={value!r} is no {kind.__name__}: {error}; {remedy}") from error


# In a child that started as a fresh interpreter or came from the fork server: the pipe that ends with its parent.
sentinel_from_start = None


def _take_sentinel(given):
    """The sentinel of this process; once, since a child that it forks has another one."""
    global sentinel_from_start
    own, sentinel_from_start = sentinel_from_start, None
    if own is None:
        return given
    os.close(given)
    return own


def end_with_parent(parent_pid, sentinel=-1):
    """Have this process end at once when its parent process does; the log tells where that cannot be had."""
    try:
        _cmp.die_with_parent(parent_pid, sentinel)
    except Exception as error:  # a sandbox without PR_SET_PDEATHSIG, or an audit hook: as in the standard library
        from .util import sub_warning
        sub_warning("the end of the parent process will go unnoticed: %s", error)


class _MainProcess(BaseProcess, type(current_process())):
    """The main process, which multiprocessing made before cmp was there: now an instance of BaseProcess too."""


if type(current_process()).__name__ == "_MainProcess":
    current_process().__class__ = _MainProcess
