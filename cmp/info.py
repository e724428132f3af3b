"""What this kernel and sandbox offer to cmp, found by trying: ``python -m cmp.info [--json]``."""
import errno
import json
import platform
import sys

__all__ = ["report"]

# What it means for cmp when a feature is missing.
WITHOUT = {
    "robust_list": "locks held by a killed process are noticed by looking, within a second at most",
    "robust_wake": "the death of a lock's owner is noticed by looking, within a second at most",
    "pending_wake": "a wake lost with a killed process is made up for within a second at most",
    "pending_wake_zero": "a wake lost with a killed process is made up for within a second at most",
    "futex_waitv": "a sleep watches one word and looks at the others every 50 ms",
    "memfd": "shared memory is an unlinked file in /dev/shm, else memory that only forked children share",
    "memfd_seal": "a process of the family could shrink the shared memory under the others (SIGBUS)",
    "memfd_noexec": "the shared memory file could be executed by a process of the family",
    "pidfd_open": "whether a process lives is read from /proc, or asked by signal 0",
    "pidfd_send_signal": "processes are signalled by pid, which a later process may have got",
    "pidfs": "a process is told from a later one with its pid by its start time, from /proc",
    "parent_death_signal": "daemonic children and pool workers may outlive a parent that was killed",
    "dev_shm": "SharedMemory has no memory file system of its own to live in",
    "dev_shm_write": "SharedMemory cannot be created; arrays and queues do not need it",
}

# What an amount limits.
LIMITS = {
    "futex_offset": "bytes from an entry of the robust list to its word",
    "dev_shm_size": "all SharedMemory together; nothing else of cmp lives there",
    "dev_shm_free": "what SharedMemory can still be given",
    "rlimit_as": "address space of a process: the reserve for shared memory is smaller than it",
    "rlimit_fsize": "size of a file, and so of the shared memory",
    "rlimit_nofile": "open descriptors; locks, events and queues need none",
    "rlimit_memlock": "memory that can be locked",
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
