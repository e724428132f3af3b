"""Starting a process as a fresh interpreter."""
import os
from multiprocessing import popen_spawn_posix, resource_tracker, util

from . import popen_fork, spawn
from ._std import fallback

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
        with spawn.packed(self, process_obj) as first_words:
            status_r, status_w = os.pipe()
            child_r, parent_end = os.pipe()
            try:
                command = spawn.get_command_line(tracker_fd=tracker_fd, pipe_handle=child_r)
                self._fds += [tracker_fd, child_r, status_w]
                self.pid = util.spawnv_passfds(spawn.get_executable(), command, self._fds)
            except BaseException:
                util.close_fds(status_r, parent_end)
                raise
            finally:
                util.close_fds(status_w, child_r)
        popen_fork.write_first_words(parent_end, first_words)
        self._watch(status_r, parent_end)
