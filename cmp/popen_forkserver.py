"""Starting a process by having a server fork it."""
import os
import threading
from multiprocessing import popen_forkserver

from . import _cmp, forkserver, spawn
from ._std import fallback
from .connection import wait
from .popen_fork import EXITCODE_UNKNOWN, Watched, closed_on_error

__all__ = ["Popen"]
__getattr__ = fallback(popen_forkserver)


class Popen(Watched, popen_forkserver.Popen):
    """A child of the fork server, which tells how it ended."""

    def __init__(self, process_obj):
        self._owner = os.getpid()
        self._reaping = threading.Lock()
        super().__init__(process_obj)

    def _launch(self, process_obj):
        with forkserver.failures_explained(), spawn.packed(self, process_obj) as (first_words, parent_end):
            self.sentinel, data_w = forkserver.connect_to_new_process(self._fds)
            with closed_on_error(self.sentinel):
                spawn.write_and_close(data_w, first_words)
                self.pid = forkserver.read_signed(self.sentinel)
                self._own(parent_end, self.sentinel, *self._open_pidfd())

    def poll(self, flag=os.WNOHANG):
        if self._owner != os.getpid():
            return self.returncode
        if self.returncode is None and flag == 0:
            wait([self.sentinel])
        with self._reaping:  # one reader takes the status from the pipe
            if self.returncode is None and super().poll(os.WNOHANG) not in (None, EXITCODE_UNKNOWN):
                _cmp.ended(self.pid, self.returncode)
            return self.returncode
