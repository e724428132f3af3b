"""Pipes in shared memory; Listener, Client and all else are the standard library's, on sockets.

What an end of a pipe does is in the native type `_cmp.Connection`. Beside it each end has a socket, which carries no
message: it is readable when there is one, for select() and its like.
"""
import io
import math
import os
import selectors
import time
from multiprocessing import connection as _std
from multiprocessing import context, reduction, resource_sharer

from . import _cmp
from ._std import fallback

__all__ = ["Client", "Listener", "Pipe", "wait"]
__getattr__ = fallback(_std)

Client, Listener = _std.Client, _std.Listener


class _Private:
    """What multiprocessing's connections have, for libraries that use private things of them."""

    @property
    def _handle(self):
        return None if self.closed else self.fileno()

    @property
    def _readable(self):
        return self.readable

    @property
    def _writable(self):
        return self.writable

    def _close(self):
        self.close()

    def _send_bytes(self, buf):
        self.send_bytes(buf)

    def _recv_bytes(self, maxsize=None):
        buffer = io.BytesIO()
        buffer.write(self.recv_bytes(maxsize))
        return buffer

    def _poll(self, timeout):
        return self.poll(timeout)


@_cmp.own_methods
class PipeEnd(_cmp.Connection, _Private, _std.Connection):
    """One end of a pipe, which any number of threads and processes may use at a time."""

    def __new__(cls, *args, **kwargs):
        return _std.Connection(*args, **kwargs)  # a connection on a descriptor

    def __repr__(self):
        return f"<multiprocessing.connection.Connection object at {id(self):#x}>"

    def __reduce__(self):
        if context.get_spawning_popen() is not None:
            return _rebuild, (type(self), reduction.DupFd(self._fd), self.__getstate__())
        place, is_held = self._place()
        return _rebuild, (type(self), reduction.DupFd(self._fd) if is_held else _Parcel(self), place)


def Pipe(duplex=True):
    """Return the two ends of a pipe; unless it is duplex, the first one receives and the second one sends."""
    return _cmp.connections(PipeEnd, duplex)


# ---- ends that go elsewhere ----


class _Parcel:
    """A descriptor on its way like reduction.DupFd's, and its end, which is held here until it is asked for."""

    def __init__(self, end):
        kept = end._duplicate()

        def send(conn, pid):
            with kept:
                reduction.send_handle(conn, kept._fd, pid)

        self._id = resource_sharer._resource_sharer.register(send, kept.close)

    def detach(self):
        with resource_sharer._resource_sharer.get_connection(self._id) as conn:
            return reduction.recv_handle(conn)


def _rebuild(cls, descriptor, place):
    end = _cmp.Connection.__new__(cls)
    end.__setstate__((*place, -1))  # holds it, before the sender gives it up for having sent the descriptor
    fd = descriptor.detach()
    try:
        end._take_fd(fd)
    except BaseException:
        os.close(fd)
        raise
    return end


# ---- waiting for several ----

# Seconds between two looks at what the descriptors do not tell: the message of a sender that was killed before it could
# make its socket say so, see src/core/ring.h.
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0


def _seconds(timeout):
    try:
        if timeout == timeout:
            return 0 + timeout
    except TypeError:
        raise TypeError(f"timeout must be None or a number of seconds, not {timeout!r}") from None
    raise ValueError("timeout must be None or a number of seconds, not nan")


def wait(object_list, timeout=None):
    """Return those of the connections, sockets, sentinels and descriptors that are ready, waiting for one at least."""
    objects = list(object_list)
    ends = [one for one in objects if isinstance(one, _cmp.Connection)]
    if not ends:
        return _std.wait(objects, timeout)
    deadline = None if timeout is None else time.monotonic() + _seconds(timeout)
    if len(ends) == len(objects):
        ready = [end for end in ends if end._is_ready()]
        if ready:
            return ready
    pause = _FIRST_PAUSE
    with _std._WaitSelector() as selector:
        for one in objects:
            selector.register(one, selectors.EVENT_READ)  # asks for fileno(): from here on messages are seen there
        while True:
            full = {id(end) for end in ends if end._is_ready()}
            left = math.inf if deadline is None else max(deadline - time.monotonic(), 0)
            told = {id(key.fileobj) for key, _ in selector.select(0 if full else min(left, pause))}
            in_vain = [end for end in ends if id(end) in told and not (end._is_ready() or end._has_handle())]
            ready = (told | full) - {id(end) for end in in_vain}
            if ready or left == 0:
                return [one for one in objects if id(one) in ready]
            for end in in_vain:
                end.fileno()  # takes away what told so
            pause = min(2 * pause, _LAST_PAUSE)
