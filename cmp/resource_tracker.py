"""Who removes shared memory when nobody is left to do it.

That is the standard library's resource tracker: a process of its own, started with the first named segment, which
outlives all others of a family and then unlinks every name that it was told and that nobody took back. What it keeps
is one set of names for the family, so a name must be told by the process that creates it, and taken back by the one
that unlinks it, and by nobody else.

Code written for multiprocessing takes names back that it has only attached to, since attaching registers them there.
`unregister()` therefore takes back what this process itself has registered, and once for each time that it attached
to a segment of its own does nothing.
"""
import contextlib
import os
import threading
from multiprocessing import resource_tracker as _std
from multiprocessing import util

from . import _cmp
from ._std import fallback

__all__ = ["ensure_running", "register", "unregister"]
__getattr__ = fallback(_std)

ensure_running = _std.ensure_running
getfd = _std.getfd
_tracker = _std._resource_tracker

# Names that this process has registered; how often it has attached to each.
_registered = {}

_LONGEST = 256  # characters of a name, with its slash

# When this many are registered, those that are gone are looked for: others may have unlinked them.
_LOOK = 1024
_look_at = _LOOK

_exit_hook = None
_naming = threading.RLock()


def cleanup_noop(name):
    """What CPython 3.14 has the tracker call for a probe, which is never registered."""
    raise RuntimeError("noop should never be registered or cleaned up")


def _after_fork_in_child():
    global _exit_hook, _naming, _look_at
    _registered.clear()
    _exit_hook, _naming, _look_at = None, threading.RLock(), _LOOK


os.register_at_fork(after_in_child=_after_fork_in_child)


def _is_plain(name):
    """Whether every CPython's tracker understands the name in a line of text."""
    return name.isascii() and ":" not in name and "\n" not in name


def _can_track(name):
    """Whether this CPython's tracker does."""
    simple = getattr(_tracker, "_use_simple_format", None)  # None: it encodes no names; True: some, and no others
    return _is_plain(name) or simple is False or (simple is True and name.isascii())


def _send(text):
    # One write, so that it arrives in one piece; it tells as well whether the tracker lives.
    line = text.encode("ascii")
    if _tracker._fd is not None:
        try:
            os.write(_tracker._fd, line)
            return
        except OSError:
            pass
    _tracker.ensure_running()
    os.write(_tracker._fd, line)


def register(name, rtype):
    """Have the tracker remove `name` when the family of processes has ended."""
    if rtype != "shared_memory":
        _std.register(name, rtype)
        return
    if _is_plain(name) and len(name) <= _LONGEST:
        _send(f"REGISTER:{name}:{rtype}\n")
    elif _can_track(name):
        _std.register(name, rtype)  # or it says what is wrong
    _note(name)


def _note(name):
    global _look_at, _exit_hook
    _registered.setdefault(name, 0)
    if len(_registered) >= _look_at:
        _forget_gone()
        _look_at = max(_LOOK, 2 * len(_registered))
    if _exit_hook is None:
        # Lest the tracker complain, in the end, of what others have unlinked.
        _exit_hook = util.Finalize(None, _forget_gone, exitpriority=-100)


def unregister(name, rtype):
    """Take back what this process has registered; of shared memory it only attached to, it has registered nothing."""
    if rtype != "shared_memory":
        _std.unregister(name, rtype)
    elif _registered.get(name):
        _registered[name] -= 1
    elif name in _registered:
        forget(name)


def attached(name):
    """This process has attached to the segment."""
    if name in _registered:
        _registered[name] += 1


def forget(name):
    """The segment is gone: have the tracker forget it, whoever registered it."""
    _registered.pop(name, None)
    if not is_running():
        return
    if _is_plain(name):  # it complains of names that it does not know: so it is told before
        _send(f"REGISTER:{name}:shared_memory\nUNREGISTER:{name}:shared_memory\n")
    elif _can_track(name):
        _std.register(name, "shared_memory")
        _std.unregister(name, "shared_memory")


def _forget_gone():
    for name in list(_registered):
        with contextlib.suppress(OSError, ValueError):
            if not _cmp.segment_exists(name):
                _forget_if_gone(name)


def _forget_if_gone(name):
    with naming() if is_running() else contextlib.nullcontext():  # others may be about to use the name again
        if not _cmp.segment_exists(name):
            forget(name)


def naming():
    """`with naming():` alone in the family, as far as it shares a tracker: what happens to a name and what the tracker
    is told agree.

    Else one process that loses a race for a name might take back what the winner has registered. The lock is on the
    pipe to the tracker, which is that family's; the kernel frees it when its holder is killed.
    """
    return _cmp.Naming(_naming, _tracker._fd if is_running() else getfd())


def is_running():
    """Whether this process has a tracker."""
    return _tracker._fd is not None
