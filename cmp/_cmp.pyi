"""The C core of cmp.  Not an interface: import cmp instead."""

from collections.abc import Callable
from typing import Any, Final, SupportsIndex, final

from _typeshed import structseq

EXIT_PARENT_DIED: Final[int]
"""What a process exits with that die_with_parent() has ended."""

@final
class Identity(structseq[int], tuple[int, int, int, int, int]):
    """Who a process is; 0 in a field stands for not known."""

    __match_args__: Final = ("pid", "tid", "start_time", "pidns_ino", "pidfs_ino")

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

@final
class Redirect:
    """Calls function; if its argument `name` is package or a module in it, with what translate returns for it."""

    def __new__(cls, function: Callable[..., Any], package: str, translate: Callable[..., str]) -> Redirect: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __getattribute__(self, name: str, /) -> Any: ...
    def __reduce__(self) -> str: ...

def die_with_parent(parent_pid: SupportsIndex, sentinel: SupportsIndex = -1) -> None:
    """From now on end at once, with EXIT_PARENT_DIED, when process parent_pid dies.

    ChildProcessError: that is not the parent of this process, and no sentinel was given.
    """

def identity(pid: SupportsIndex | None = None) -> Identity:
    """Who process pid (default: this one) is, as an Identity."""

def is_alive(pid: SupportsIndex, start_time: SupportsIndex) -> bool:
    """Whether the process that had this pid and start time may still run."""

def kernel() -> dict[str, bool | int | None]:
    """Try out what this kernel and sandbox can do; takes a few milliseconds."""

def now_ns() -> int:
    """Nanoseconds on the clock of all deadlines, the monotonic one."""
