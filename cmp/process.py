"""Process objects: the standard library's, tied to the life of their parent.

The state of a process (who it is, its children, its parent) stays in multiprocessing.process, so that logging
and every other client of the standard library sees one truth.
"""
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
        for what, value in (("args", args), ("kwargs", kwargs)):
            if value is not None and not hasattr(value, "__iter__"):
                remedy = f"args=({value!r},)" if what == "args" else "kwargs={'name': value}"
                raise TypeError(f"{what}={value!r} cannot be iterated over; for one argument write {remedy}")
        super().__init__(group, target, name, args, kwargs or {}, daemon=daemon)

    def interrupt(self):
        """Send SIGINT to the process, which raises KeyboardInterrupt in its main thread."""
        self._check_closed()
        self._popen.interrupt()

    def _bootstrap(self, parent_sentinel=None):
        from . import context
        if self._start_method is not None:
            context._force_start_method(self._start_method)
        if self.daemon:
            end_with_parent(self._parent_pid, -1 if parent_sentinel is None else parent_sentinel)
        return super()._bootstrap(parent_sentinel)


def end_with_parent(parent_pid, sentinel=-1):
    """Have this process end at once when its parent process does; the log tells where that cannot be had."""
    try:
        _cmp.die_with_parent(parent_pid, sentinel)
    except OSError as error:  # a sandbox without PR_SET_PDEATHSIG: as under the standard library
        from .util import sub_warning
        sub_warning("the end of the parent process will go unnoticed: %s", error)


class _MainProcess(BaseProcess, type(current_process())):
    """The main process, which multiprocessing made before cmp was there: now an instance of BaseProcess too."""


if type(current_process()).__name__ == "_MainProcess":
    current_process().__class__ = _MainProcess
