"""Starting a process by fork, and what all three start methods share in watching it.

The parent watches a child through a pidfd: it becomes readable when this very process has ended, whatever
descriptors the child's own children inherited, and a signal sent through it cannot hit a stranger.
"""
import contextlib
import os
import signal
import threading
from multiprocessing import popen_fork, util

from . import _cmp
from ._std import fallback

__all__ = ["Popen"]
__getattr__ = fallback(popen_fork)

# What Process.exitcode says when somebody else reaped the child: the standard library's word for "unknown".
EXITCODE_UNKNOWN = 255

# Write ends that tell a child that its parent lives, by descriptor, with the inode of the pipe. A process forked
# later must not keep them open, or the child would believe in a parent that is long gone.
_parent_ends = {}

# Held from before such a pipe is made until it is noted above, and by every fork.
_noting = threading.RLock()


def _before_fork():
    _noting.acquire()


def _after_fork_in_parent():
    _noting.release()


def _after_fork_in_child():
    global _noting
    _noting = threading.RLock()
    while _parent_ends:
        descriptor, inode = _parent_ends.popitem()
        try:
            if os.fstat(descriptor).st_ino == inode:  # else the program has closed it, and the number is another file's
                os.close(descriptor)
        except OSError:
            pass  # closed


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def _note_parent_end(descriptor):
    _parent_ends[descriptor] = os.fstat(descriptor).st_ino


def parent_pipe():
    """Return a pipe whose write end, the second, stays in no child forked later."""
    with _noting:
        read_end, parent_end = os.pipe()
        _note_parent_end(parent_end)
        return read_end, parent_end


def close_ends(parent_end, *others):
    """Close an end of parent_pipe(), and other descriptors."""
    _parent_ends.pop(parent_end, None)
    util.close_fds(parent_end, *others)


@contextlib.contextmanager
def closing(descriptor):
    """Close the descriptor at the end of the block."""
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def closed_on_error(*descriptors):
    """Close the descriptors when the block fails."""
    try:
        yield
    except BaseException:
        util.close_fds(*descriptors)
        raise


class Watched:
    """What a Popen does to a process that it started."""

    pidfd = None
    _owner = None  # the process that started it, and the only one that can tell of it
    _reaped = False  # ended and gone before it could be watched

    def interrupt(self):
        self._send_signal(signal.SIGINT)

    def _open_pidfd(self):
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._reaped = True
            return []
        except (OSError, AttributeError):  # not offered by this kernel, sandbox or build of Python
            return []
        return [self.pidfd]

    def _own(self, parent_end, *others):
        """Close these descriptors when this object goes."""
        self.finalizer = util.Finalize(self, close_ends, (parent_end, *others))

    def _send_signal(self, sig):
        if self.returncode is not None or self._reaped:
            return
        try:
            signal.pidfd_send_signal(self.pidfd, sig)
        except ProcessLookupError:
            pass
        except (OSError, TypeError, AttributeError):  # refused by the sandbox, or no pidfd to be had
            super()._send_signal(sig)


class Popen(Watched, popen_fork.Popen):
    """A child of this process, started by fork."""

    def __init__(self, process_obj):
        self._owner = os.getpid()
        self._reaping = threading.Lock()
        super().__init__(process_obj)

    def _launch(self, process_obj):
        _cmp.Embryo().abandon()  # the fork itself could not tell that there is no place for another process
        with _noting:
            super()._launch(process_obj)
            status_r, parent_end = self.finalizer._args
            _note_parent_end(parent_end)
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
        if self._owner != os.getpid():  # in a forked child, where the lock may be held by a thread that is not there
            return self.returncode
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
                _cmp.ended(pid, self.returncode)
