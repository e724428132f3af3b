"""What rows are made of: the registry, the crew of worker processes, the checks.

A row is a generator function of the module under test and a crew.  It makes its objects, hires its workers,
yields the loop to time (and, if it likes, a check of what the loop returned), and cleans up when resumed:

    @row("semaphore/ping-pong", "us", needs="Semaphore")
    def ping_pong(mp, crew):
        ping, pong = mp.Semaphore(0), mp.Semaphore(0)
        crew.hire(answer, ping, pong)

        def loop(n):
            for _ in repeat(None, n):
                ping.release()
                pong.acquire()

        yield loop

Rows use the public API only, and the same lines serve every module.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import struct
import sys
import textwrap
from itertools import repeat

ROWS = {}
LARGE = 1 << 16  # bytes; larger messages are compared in full only outside the clock
ORDER = struct.Struct("q")


class Missing(Exception):
    """The module under test has no such thing: the cell is n/a."""


class Wrong(Exception):
    """The module under test gave a wrong answer: the cell is failed."""


class Seconds(float):
    """Returned by a loop that times itself."""


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    unit: str  # a key of TIMES or RATES
    make: object
    needs: tuple  # names in the module under test, `submodule.name` or `name`
    imports: tuple  # other modules, such as numpy
    per: int  # operations in one turn of the loop
    size: int  # bytes that one operation has to copy, for the floor
    floor: str  # the line of floor/ that bounds the row from below
    quick: bool  # part of --quick


TIMES = {"ns": 1e9, "us": 1e6, "ms": 1e3}
RATES = {"/s": 1.0, "k/s": 1e-3, "M/s": 1e-6}


def in_unit(unit, seconds):
    """Seconds per operation, as the number that the table shows."""
    return seconds * TIMES[unit] if unit in TIMES else RATES[unit] / seconds


def row(name, unit, *, needs="", imports="", per=1, size=0, floor="", quick=False):
    """Decorate a generator function of (mp, crew): register it as a row."""

    def register(make):
        if name in ROWS:
            raise ValueError(f"two rows named {name!r}")
        ROWS[name] = Row(name, unit, make, tuple(needs.split()), tuple(imports.split()), per, size, floor, quick)
        return make

    return register


STATEMENT = """
def make(mp, crew):
    total = {kept} = None
    total = 0
{prepare}
    def loop(n):
        nonlocal total, {kept}
        total += n * {unroll}
        for _ in repeat(None, n):
{do}
    yield loop
    expect({check}, {text!r})
{end}
"""


def statement(name, unit, prepare, do, check, *, kept="found", end="", unroll=10, **options):
    """Register a row whose loop repeats one statement in one process.

    The statement stands `unroll` times in the loop, so that the loop itself hardly counts.  `check` is an
    expression that must be true at the end; `total` in it is how often the statement ran, and `kept` names
    a variable that the statement sets.
    """
    source = STATEMENT.format(
        prepare=textwrap.indent(prepare, " " * 4),
        do=textwrap.indent("\n".join([do] * unroll), " " * 12),
        end=textwrap.indent(end, " " * 4),
        check=check,
        text=check,
        kept=kept,
        unroll=unroll,
    )
    scope = {"repeat": repeat, "expect": expect}
    exec(compile(source, f"<{name}>", "exec"), scope)
    return row(name, unit, per=unroll, **options)(scope["make"])


def expect(true, what):
    if not true:
        raise Wrong(f"not true: {what}")


def _ends(buffer):
    view = memoryview(buffer).cast("B")
    return len(view), bytes(view[:64]), bytes(view[-64:])


def matcher(sample):
    """A cheap test that a message is the sample; large ones by length and both ends."""
    if hasattr(sample, "__len__") and not isinstance(sample, (tuple, dict)) and memoryview(sample).nbytes > LARGE:
        ends = _ends(sample)
        return lambda message: _ends(message) == ends
    return lambda message: message == sample


def same(message, sample):
    """The thorough test, for outside the clock."""
    return type(message) is type(sample) and (
        message == sample if isinstance(sample, (int, tuple, dict, bytes)) else message.tobytes() == sample.tobytes()
    )


def load(folder):
    """Import every file of the folder, which registers its rows."""
    folder = pathlib.Path(folder).resolve()
    sys.path.insert(0, str(folder.parent))
    for path in sorted(folder.glob("*.py")):
        importlib.import_module(f"{folder.name}.{path.stem}")
    return ROWS


def look_up(mp, dotted):
    """Import the submodule if the name has one; Missing if the module under test lacks the name."""
    submodule, _, name = dotted.rpartition(".")
    try:
        owner = importlib.import_module(f"{mp.__name__}.{submodule}") if submodule else mp
        return getattr(owner, name)
    except (ImportError, AttributeError):
        raise Missing(f"no {dotted}") from None


# ---- the crew -------------------------------------------------------------------------------------------


class Crew:
    """The worker processes of one row.

    They say that they are ready or done, and are told how often to go round, over named pipes and never
    through the module under test; named, because a descriptor does not travel to a spawned process.
    """

    def __init__(self, mp, folder, announce):
        self.mp = mp
        self.folder = folder
        self.announce = announce  # tells the runner the pid of a process to watch
        self.ears = os.fdopen(self._pipe("answers"), "rb")
        self.orders = []
        self.workers = []
        self.awaited = 0

    def _pipe(self, name):
        path = os.path.join(self.folder, name)
        os.mkfifo(path)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # both ways: neither side waits in open()

    def hire(self, body, *args):
        """Start a process that runs body(rounds, *args); `for n in rounds` there yields once per measurement."""
        index = len(self.orders)
        self.orders.append(self._pipe(f"orders.{index}"))
        worker = self.mp.Process(target=work, args=(self.folder, index, body, args), daemon=True)
        worker.start()
        self.workers.append(worker)
        self.announce(worker.pid)
        self.awaited += 1

    def await_guests(self, count):
        """Wait, before the clock starts, for so many processes that the row did not hire (see `arrive`)."""
        self.awaited += count

    def ready(self):
        for _ in range(self.awaited):
            index, value = self._hear()
            if index is None:
                self.announce(value)

    def go(self, n):
        for order in self.orders:
            os.write(order, ORDER.pack(n))

    def finish(self):
        """Wait until every worker is done; what each one told, in the order of hiring."""
        told = [None] * len(self.orders)
        for _ in told:
            index, value = self._hear()
            told[index] = value
        return told

    def dismiss(self):
        self.go(0)
        for worker in self.workers:
            worker.join(10)
            expect(worker.exitcode == 0, f"worker's exit code {worker.exitcode} == 0")

    def _hear(self):
        index, what, value = json.loads(self.ears.readline())
        if what == "failed":
            raise Wrong(f"worker {index}: {value}")
        return index, value


class Rounds:
    """In a worker: iterate for the number of turns of each measurement; `tell` a result to the row."""

    def __init__(self, folder, index):
        self.index = index
        self.mouth = os.open(os.path.join(folder, "answers"), os.O_WRONLY | os.O_CLOEXEC)
        self.orders = os.open(os.path.join(folder, f"orders.{index}"), os.O_RDONLY | os.O_CLOEXEC)
        self.value = None

    def __iter__(self):
        self.say("ready")
        while n := ORDER.unpack(os.read(self.orders, ORDER.size))[0]:
            yield n
            self.say("done", self.value)

    def tell(self, value):
        self.value = value

    def say(self, what, value=None):
        answer(self.mouth, self.index, what, value)


def answer(fd, index, what, value):
    os.write(fd, json.dumps([index, what, value]).encode() + b"\n")  # below PIPE_BUF: whole lines, always


def work(folder, index, body, args):
    """The target of every hired process."""
    rounds = Rounds(folder, index)
    try:
        body(rounds, *args)
    except BaseException as error:
        rounds.say("failed", f"{type(error).__name__}: {error}"[:500])
        raise


def arrive(folder):
    """Initializer for processes that a pool starts: say that this one is up."""
    fd = os.open(os.path.join(folder, "answers"), os.O_WRONLY | os.O_CLOEXEC)
    answer(fd, None, "ready", os.getpid())
    os.close(fd)
