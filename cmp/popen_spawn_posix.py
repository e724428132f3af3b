"""Starting a process as a fresh interpreter."""
import os
from multiprocessing import popen_spawn_posix, resource_tracker, util

from . import popen_fork, spawn
from ._std import fallback
from .popen_fork import closed_on_error, closing

__all__ = ["Popen"]
__getattr__ = fallback(popen_spawn_posix)


class Popen(popen_fork.Popen, popen_spawn_posix.Popen):
    """A child of this process that is a fresh interpreter."""

    method = "spawn"
    DupFd = popen_spawn_posix.Popen.DupFd
    duplicate_for_child = popen_spawn_posix.Popen.duplicate_for_child

    def __init__(self, process_obj):
        self._fds = []
        super().__init__(process_obj)

    def _launch(self, process_obj):
        tracker_fd = resource_tracker.getfd()
        with spawn.packed(self, process_obj) as (first_words, parent_end):
            status_r, status_w = os.pipe()
            with closed_on_error(status_r), closing(status_w):
                child_r, data_w = os.pipe()
                with closed_on_error(data_w), closing(child_r):
                    command = spawn.get_command_line(tracker_fd=tracker_fd, pipe_handle=child_r)
                    self._fds += [tracker_fd, child_r, status_w]
                    self.pid = util.spawnv_passfds(spawn.get_executable(), command, self._fds)
                spawn.write_and_close(data_w, first_words)
                self._watch(status_r, parent_end)
