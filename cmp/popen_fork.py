"""Starting a process by fork, and what all three start methods share in watching it.

The parent watches a child through a pidfd: it becomes readable when this very process has ended, whatever
descriptors the child's own children inherited, and a signal sent through it cannot hit a stranger.
"""
import os
import signal
import threading
from multiprocessing import popen_fork, util

from ._std import fallback

__all__ = ["Popen"]
__getattr__ = fallback(popen_fork)

# What Process.exitcode says when somebody else reaped the child: the standard library's word for "unknown".
EXITCODE_UNKNOWN = 255

# Write ends that tell a child that its parent lives. A process forked later must not keep them open, or the
# child would believe in a parent that is long gone.
_parent_ends = set()


def _drop_parent_ends():
    while _parent_ends:
        try:
            os.close(_parent_ends.pop())
        except OSError:
            pass  # the program has closed it already


os.register_at_fork(after_in_child=_drop_parent_ends)


def _close_ends(parent_end, *others):
    _parent_ends.discard(parent_end)
    util.close_fds(parent_end, *others)


def write_first_words(fd, data):
    """Write to a child what an empty pipe takes in one go; one that is dead already needs no words."""
    try:
        os.write(fd, data)
    except BrokenPipeError:
        pass


class Watched:
    """What a Popen does to a process that it started."""

    pidfd = None

    def interrupt(self):
        self._send_signal(signal.SIGINT)

    def _open_pidfd(self):
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:  # not offered by this kernel or sandbox, or ended already
            return []
        return [self.pidfd]

    def _own(self, parent_end, *others):
        """Close these descriptors when this object goes; `parent_end` stays in no child forked later."""
        _parent_ends.add(parent_end)
        self.finalizer = util.Finalize(self, _close_ends, (parent_end, *others))

    def _send_signal(self, sig):
        if self.returncode is not None:
            return
        try:
            signal.pidfd_send_signal(self.pidfd, sig)
        except ProcessLookupError:
            pass
        except (OSError, TypeError):  # refused by the sandbox, or no pidfd to be had
            super()._send_signal(sig)


class Popen(Watched, popen_fork.Popen):
    """A child of this process, started by fork."""

    def __init__(self, process_obj):
        self._reaping = threading.Lock()
        super().__init__(process_obj)

    def _launch(self, process_obj):
        super()._launch(process_obj)
        status_r, parent_end = self.finalizer._args
        self.finalizer.cancel()
        self._watch(status_r, parent_end)

    def _watch(self, status_r, parent_end):
        """Have a pidfd as sentinel, or else the end of a pipe that the child, and its children, hold open."""
        self.sentinel = status_r
        for pidfd in self._open_pidfd():
            self.sentinel = pidfd
            os.close(status_r)
        self._own(parent_end, self.sentinel)

    def poll(self, flag=os.WNOHANG):
        if self.returncode is None and flag == 0:
            self._wait_unreaped()
        with self._reaping:
            if self.returncode is None:
                self._reap(flag)
        return self.returncode

    def _wait_unreaped(self):
        # Neither holds the lock nor takes the status, so that any number of threads may wait at once.
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass  # _reap finds out

    def _reap(self, flag):
        try:
            pid, status = os.waitpid(self.pid, flag)
        except ChildProcessError:  # reaped by somebody else: it has ended, how is lost
            self.returncode = EXITCODE_UNKNOWN
        else:
            if pid == self.pid:
                self.returncode = os.waitstatus_to_exitcode(status)
