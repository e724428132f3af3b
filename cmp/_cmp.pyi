"""The C core of cmp.  Not an interface: import cmp instead."""

from typing import SupportsIndex, final

EXIT_PARENT_DIED: int
"""What a process exits with that die_with_parent() has ended."""

@final
class Identity(tuple[int, int, int, int, int]):
    """Who a process is; 0 in a field stands for not known."""

    @property
    def pid(self) -> int: ...
    @property
    def tid(self) -> int: ...
    @property
    def start_time(self) -> int: ...
    @property
    def pidns_ino(self) -> int: ...
    @property
    def pidfs_ino(self) -> int: ...

def die_with_parent(parent_pid: SupportsIndex, sentinel: SupportsIndex = -1) -> None:
    """From now on end at once, with EXIT_PARENT_DIED, when process parent_pid dies."""

def identity(pid: SupportsIndex | None = None) -> Identity:
    """Who process pid (default: this one) is, as an Identity."""

def is_alive(pid: SupportsIndex, start_time: SupportsIndex) -> bool:
    """Whether the process that had this pid and start time may still run."""

def kernel() -> dict[str, bool | int | None]:
    """Try out what this kernel and sandbox can do; takes a few milliseconds."""

def now_ns() -> int:
    """Nanoseconds on the clock of all deadlines, the monotonic one."""
