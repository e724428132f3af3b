"""What this kernel and sandbox offer to cmp, found by trying: ``python -m cmp.info [--json]``."""
import errno
import json
import platform
import sys

__all__ = ["report"]

# What each is for, or what it means for cmp when it is missing. Queues, pipes, arrays and SharedMemory still run on the
# standard library's code, of which only the locks inside notice that their owner has died.
WITHOUT = {
    "robust_list": "that the owner of a lock was killed is noticed within a second, by looking",
    "robust_wake": "that the owner of a lock was killed is noticed within a second, by looking",
    "pending_wake": "a wake-up lost with a killed process is made up for within a second, by looking",
    "pending_wake_zero": "nothing where pending_wake is there: it is the same by an older rule of the kernel",
    "futex_waitv": "who waits for a lock or the like wakes up 20 times a second, to look at several words",
    "memfd": "locks and the like live in a file of /dev/shm without a name, and where that cannot be had either, reach "
             "forked children only; what a child started by spawn or forkserver is given goes through a temporary file",
    "memfd_seal": "a process of the family could shrink the memory of the locks",
    "memfd_noexec": "a process of the family could execute the memory of the locks",
    "pidfd_open": "sentinel is a pipe, which the child's own children may hold open after its end; deaths are "
                  "confirmed by looking",
    "pidfd_send_signal": "processes are signalled by pid, which a later process may have got",
    "pidfs": "a process is told from a later one with its pid by the time it started",
    "parent_death_signal": "daemonic children and pool workers may outlive a parent that was killed",
    "dev_shm": "arrays and SharedMemory have no memory file system of their own to live in",
    "dev_shm_write": "SharedMemory cannot be created",
}

# What an amount limits.
LIMITS = {
    "futex_offset": "bytes from an entry of the robust list to its word",
    "dev_shm_size": "all arrays and SharedMemory together",
    "dev_shm_free": "what arrays and SharedMemory can still be given",
    "rlimit_as": "address space of a process, with all shared memory that it maps",
    "rlimit_fsize": "size of a file, and so of one array or SharedMemory, or of all locks and the like together",
    "rlimit_nofile": "open descriptors; processes, pipes, queues, arrays and SharedMemory each take some, locks none",
    "rlimit_memlock": "memory that can be locked; cmp locks none",
    "rlimit_nproc": "processes and threads of this user",
    "cpus": "processors that this process may run on",
    "cpu_quota_milli": "thousandths of a processor that the control groups allow",
}

BYTES = {"dev_shm_size", "dev_shm_free", "rlimit_as", "rlimit_fsize", "rlimit_memlock"}


def _probe():
    """The fields of struct cmp_kernel, or why there are none."""
    try:
        from . import _cmp
        return _cmp.kernel(), None
    except Exception as e:
        return {}, f"{type(e).__name__}: {e}"


def report():
    """Return what was found as a dict that JSON can hold.

    ``features`` and ``amounts`` map a name to ``value`` (as _cmp.kernel() has it) and ``text``, and ``missing``
    lists the features that cannot be used.  ``error`` says why if nothing could be tried.
    """
    fields, error = _probe()
    features = {name: value for name, value in fields.items() if name not in LIMITS}
    amounts = {name: value for name, value in fields.items() if name in LIMITS}
    return {
        "python": platform.python_version(),
        "system": " ".join((platform.system(), platform.release(), platform.machine())),
        "features": {name: {"value": value, "text": WITHOUT.get(name, "")} for name, value in features.items()},
        "amounts": {name: {"value": value, "text": LIMITS[name]} for name, value in amounts.items()},
        "missing": [name for name, value in features.items() if value is not True],
        "error": error,
    }


def _state(value):
    if value is True or value is False:
        return "yes" if value else "no"
    return f"no ({errno.errorcode.get(-value, -value)})"


def _amount(name, value):
    if value is None:
        return "none"
    if name not in BYTES or value < 1024:
        return str(value)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            return f"{value:.1f} {unit}"


def _lines(found):
    yield f"Python {found['python']}, {found['system']}"
    if found["error"]:
        yield f"The kernel could not be tried: {found['error']}"
    rows = [(name, _state(f["value"]), f"without: {f['text']}") for name, f in found["features"].items()]
    rows += [(name, _amount(name, a["value"]), a["text"]) for name, a in found["amounts"].items()]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    for name, state, text in rows:
        yield f"{name:<{widths[0]}}  {state:<{widths[1]}}  {text}".rstrip()
    if found["missing"]:
        yield f"Missing here: {', '.join(found['missing'])}"


def main(argv=None):
    """Print the report; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv not in ([], ["--json"]):
        print("usage: python -m cmp.info [--json]", file=sys.stderr)
        return 2
    found = report()
    print(json.dumps(found, indent=2) if argv else "\n".join(_lines(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
