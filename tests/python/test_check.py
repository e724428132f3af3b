"""cmp.check(), and what happens to those who use an object that something has written over."""
import fcntl
import os
import subprocess
import sys

import pytest
from crew import KINDS, arena_descriptor, hold_for_ever, running

import cmp

EVERY = pytest.mark.parametrize("kind", KINDS)


def test_all_is_well_at_any_moment(ctx):
    """Beside objects of every kind, held, waited for and dropped."""
    made = [KINDS[kind](ctx) for kind in KINDS for _ in range(20)]
    assert cmp.check() == []
    held = ctx.Event()
    with running(ctx, hold_for_ever, made[0], held):
        assert held.wait(30)
        for _ in range(20):
            assert cmp.check() == []
    assert cmp.check() == []
    del made
    assert cmp.check() == []


def test_no_family_no_findings(tmp_path):
    ran = subprocess.run([sys.executable, "-c", "import cmp; print(cmp.check())"], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


# Forged cells. All of it happens in a program of its own: what is damaged there concerns nobody else.

FORGE = """
import cmp, mmap, os, random, signal, struct, sys, warnings
sys.path[:0] = sys.argv[3:]
from crew import KINDS, arena_descriptor
kind, seed = sys.argv[1], int(sys.argv[2])
warnings.simplefilter("ignore")
made = KINDS[kind](cmp)
descriptor = arena_descriptor()
memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)

def words():
    return bytes(memory)

def change(made):
    if kind == "Event":
        made.set()
    elif kind == "Barrier":
        made.abort()
    else:
        made.acquire()

def back(made):
    if kind == "Event":
        made.clear()
    elif kind == "Barrier":
        made.reset()
    else:
        made.release()

def cell():
    # Where in the arena its cell begins: what changes when it is used, and belongs to nothing else.
    spots = None
    for _ in range(3):
        before = words()
        change(made)
        between = words()
        back(made)
        now = {i & ~63 for i in range(0, len(before), 4) if before[i:i + 4] != between[i:i + 4]}
        spots = now if spots is None else spots & now
    return min(spots)

def attempt(function, *args):
    try:
        function(*args)
    except (Exception, cmp.OwnerDiedWarning):
        pass

def use(made):
    for name in ("locked", "get_value", "is_set", "set", "clear", "reset", "abort", "mark_consistent", "__repr__"):
        if hasattr(made, name):
            attempt(getattr(made, name))
    for name in ("parties", "n_waiting", "broken", "owner_died"):
        if hasattr(made, name):
            attempt(getattr, made, name)
    if hasattr(made, "acquire"):
        for args in ((False,), (True, 0.001)):
            attempt(made.acquire, *args)
            attempt(made.release)
    if kind == "Condition":
        attempt(made.acquire, False)
        for name, args in (("wait", (0.001,)), ("notify", (2,)), ("notify_all", ()), ("wait", (0.001,))):
            attempt(getattr(made, name), *args)
        attempt(made.release)
    if kind in ("Event", "Barrier"):
        attempt(made.wait, 0.001)
"""

ONE = FORGE + """
at = cell()
random.seed(seed)
VALUES = [0xffffffff, 0x80000000, 0x40000000, 0x20000000, 0x3fffffff, 1, 0x7fffffff, 0xdeadbeef]
good = bytes(memory[at:at + 64])
for turn in range(60):
    memory[at:at + 64] = good
    for _ in range(random.choice((1, 1, 2, 16))):
        offset = random.randrange(16) * 4
        memory[at + offset:at + offset + 4] = struct.pack("I", random.choice(VALUES + [random.getrandbits(32)]))
    signal.alarm(10)  # a hang: killed by SIGALRM
    use(made)
    assert isinstance(cmp.check(), list)
    signal.alarm(0)
memory[at:at + 64] = good
others = [KINDS[k](cmp) for k in KINDS]
print("alive", len(others))
"""


@EVERY
@pytest.mark.parametrize("seed", [1, 2])
def test_a_damaged_cell_is_no_crash_and_no_hang(tmp_path, kind, seed):
    """Random words in it: each call ends, by an error or with some result, and other objects work."""
    ran = subprocess.run([sys.executable, "-X", "faulthandler", "-c", ONE, kind, str(seed), *sys.path],
                         capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, f"alive {len(KINDS)}\n"), ran.stderr[-3000:]


DAMAGED = FORGE + """
at = cell()
good = bytes(memory[at:at + 64])
seen = 0
for offset in range(0, 64, 4):
    memory[at + offset:at + offset + 4] = struct.pack("I", 0x5a5a5a5a)
    seen += bool(cmp.check())
    memory[at:at + 64] = good
print(seen > 0, cmp.check())
"""


@EVERY
def test_check_sees_damage(tmp_path, kind):
    """A word that cannot be: in at least one place of each kind of object it is found; once mended all is well."""
    ran = subprocess.run([sys.executable, "-c", DAMAGED, kind, "0", *sys.path], capture_output=True, text=True,
                         cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == ("True []\n", "")


LOCK_WORD = FORGE + """
at = cell()
results = []
for word in (0x00000005, 0x1fffffff, 0x00010000):  # neither free nor an owner's code
    memory[at:at + 4] = struct.pack("I", word)
    try:
        made.acquire(timeout=1)
        results.append("acquired")
    except OSError as error:
        results.append("damaged" if "damaged" in str(error) else str(error))
    results.append(bool(cmp.check()))
    memory[at:at + 4] = bytes(4)
print(results, cmp.check(), made.acquire(False))
"""


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_word_that_cannot_be_is_an_error(tmp_path, kind):
    ran = subprocess.run([sys.executable, "-c", LOCK_WORD, kind, "0", *sys.path], capture_output=True, text=True,
                         cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == ("['damaged', True, 'damaged', True, 'damaged', True] [] True\n", "")


def test_a_member_cannot_shrink_the_file():
    """A peer's truncate would be everybody's SIGBUS."""
    cmp.Lock()
    descriptor = arena_descriptor()
    for size in (0, 4096, os.fstat(descriptor).st_size - 1):
        with pytest.raises(OSError):
            os.ftruncate(descriptor, size)
    assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
