"""Starting a process by having a server fork it."""
import os
import threading
from multiprocessing import popen_forkserver

from . import forkserver, spawn
from ._std import fallback
from .connection import wait
from .popen_fork import Watched, write_first_words

__all__ = ["Popen"]
__getattr__ = fallback(popen_forkserver)


class Popen(Watched, popen_forkserver.Popen):
    """A child of the fork server, which tells how it ended."""

    def __init__(self, process_obj):
        self._reaping = threading.Lock()
        super().__init__(process_obj)

    def _launch(self, process_obj):
        with forkserver.failures_explained():
            with spawn.packed(self, process_obj) as first_words:
                self.sentinel, parent_end = forkserver.connect_to_new_process(self._fds)
            self._own(parent_end, self.sentinel)
            write_first_words(parent_end, first_words)
            self.pid = forkserver.read_signed(self.sentinel)
        self.finalizer.cancel()
        self._own(parent_end, self.sentinel, *self._open_pidfd())

    def poll(self, flag=os.WNOHANG):
        if self.returncode is None and flag == 0:
            wait([self.sentinel])
        with self._reaping:  # one reader takes the status from the pipe
            return super().poll(os.WNOHANG)
