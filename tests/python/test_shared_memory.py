"""SharedMemory: who cleans up and who does not, views that outlive close(), what is refused, and other programs."""
import contextlib
import ctypes
import fcntl
import gc
import itertools
import os
import pickle
import signal
import sys
import threading
from multiprocessing import shared_memory as std

import pytest
from crew import open_descriptors, run_program, running

import cmp
from cmp import _cmp, resource_tracker
from cmp.shared_memory import SharedMemory

try:
    import numpy
except ImportError:
    numpy = None

COUNT = 10_000


def exists(name):
    return os.path.exists(f"/dev/shm/{name}")


def mappings(name="/dev/shm/"):
    with open("/proc/self/maps") as maps:
        return sum(name in line for line in maps)


@pytest.fixture
def memory():
    made = SharedMemory(create=True, size=100)
    yield made
    if exists(made.name):
        made.unlink()


# What it is

def test_create_attach_write_read(memory):
    other = SharedMemory(memory.name)
    other.buf[3] = 7
    assert memory.buf[3] == 7 and memory.size == other.size == len(memory.buf) == 100
    assert repr(memory) == f"SharedMemory({memory.name!r}, size=100)"
    assert memory._name == "/" + memory.name and memory.buf is memory.buf
    assert os.stat(f"/dev/shm/{memory.name}").st_mode & 0o777 == 0o600
    assert not os.get_inheritable(memory._fd)


def test_it_passes_for_the_standard_librarys_and_runs_none_of_its_code(memory):
    assert isinstance(memory, std.SharedMemory)
    own = {name for name, what in vars(std.SharedMemory).items()
           if callable(what) or isinstance(what, property)} - {"__new__"}
    assert own <= vars(SharedMemory).keys()


@pytest.mark.parametrize("track", [True, False])
def test_track(track):
    memory = SharedMemory(create=True, size=1, track=track)
    assert memory._track is track
    SharedMemory(memory.name, track=track).close()
    memory.unlink()


def test_pickles_by_name(memory):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(memory, protocol))
        other.buf[0] = protocol
        assert memory.buf[0] == protocol


def fill(memory, name):
    memory.buf[:5] = b"child"
    other = SharedMemory(name)
    other.buf[5:9] = b"name"
    other.close()


def test_travels_to_children(ctx, memory):
    with running(ctx, fill, memory, memory.name) as child:
        child.join()
    assert bytes(memory.buf[:9]) == b"childname"


# What is refused

@pytest.mark.parametrize("size, error", [
    (0, ValueError), (-1, ValueError), (-2**80, ValueError), (1.5, TypeError), (2.0, TypeError), ("1", TypeError),
    (None, TypeError), (2**50, OSError), (2**63, OSError), (2**80, OSError)])
def test_sizes_that_cannot_be(size, error):
    before = set(os.listdir("/dev/shm"))
    for name in (None, "cmp_test_size"):
        with pytest.raises(error):
            SharedMemory(name, create=True, size=size)
    assert set(os.listdir("/dev/shm")) == before


def test_a_size_may_be_an_index():
    class Index:
        def __index__(self):
            return 5
    for size in (Index(), True):
        memory = SharedMemory(create=True, size=size)
        assert memory.size == size.__index__()
        memory.unlink()


def test_attaching_ignores_the_size(memory):
    for size in (0, 1, 99, 10**9, 2**80, 2.5):
        assert SharedMemory(memory.name, size=size).size == 100
    for size in (-1, -1.5):
        with pytest.raises(ValueError):
            SharedMemory(memory.name, size=size)


@pytest.mark.parametrize("name, error", [
    ("", OSError), ("a/b", OSError), (".", OSError), ("..", OSError), ("x" * 256, OSError), ("x" * 10**6, OSError),
    ("a\0b", ValueError), (b"bytes", TypeError), (5, TypeError)])
def test_names_that_cannot_be(name, error):
    before = set(os.listdir("/dev/shm"))
    for create in (True, False):
        with pytest.raises(error):
            SharedMemory(name, create=create, size=1)
    assert set(os.listdir("/dev/shm")) == before


@pytest.mark.parametrize("name", ["cmp test", "/cmp_test", "cmp_tést_日本", "cmp:test", "cmp\ntest", "x" * 255])
def test_names_that_can_be(name):
    memory = SharedMemory(name, create=True, size=1)
    assert memory.name == name and memory._name == "/" + name
    with pytest.raises(FileExistsError):
        SharedMemory(name, create=True, size=1)
    SharedMemory(name).close()
    memory.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        SharedMemory(name)
    assert caught.value.filename == "/" + name


def test_names_that_an_old_tracker_does_not_understand_make_no_noise(tmp_path):
    run_program(tmp_path, """
from cmp.shared_memory import SharedMemory
for name in ("cmp_tést", "cmp:test", "cmp\\ntest"):
    memory = SharedMemory(name, create=True, size=1)
    memory.unlink()
""")


def test_neither_name_nor_create():
    for arguments in ({}, {"size": 5}, {"name": None}):
        with pytest.raises(ValueError):
            SharedMemory(**arguments)


def test_attaching_to_an_empty_segment_says_so():
    os.close(os.open("/dev/shm/cmp_test_empty", os.O_CREAT | os.O_RDWR, 0o600))
    with pytest.raises(ValueError, match=r"cmp_test_empty is empty: .* if that process was killed, unlink "):
        SharedMemory("cmp_test_empty")
    assert exists("cmp_test_empty")
    os.unlink("/dev/shm/cmp_test_empty")


def test_a_failed_attach_harms_nothing(tmp_path):
    """gh-153279: there, the segment is unlinked."""
    run_program(tmp_path, """
import resource
from cmp.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=1 << 30)
now = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), now + (64 << 20)))
try:
    SharedMemory(memory.name)
except OSError:
    pass
else:
    raise AssertionError
try:
    SharedMemory("cmp_test_failed", create=True, size=1 << 30)
except OSError:
    pass
else:
    raise AssertionError
import os
assert os.listdir("/dev/shm").count(memory.name) == 1 and "cmp_test_failed" not in os.listdir("/dev/shm")
memory.unlink()
""")


class Stop(Exception):
    """What a signal handler raises."""


def stopping_at(line, modules):
    """A trace function that raises at the line-th line that is run in these modules."""
    files, lines = {module.__file__ for module in modules}, itertools.count(1)

    def trace(frame, event, arg):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and next(lines) == line:
            raise Stop
        return trace
    return trace


def others_may_name():
    """Whether another process of the family may create or unlink a segment with a name."""
    if (pid := os.fork()) == 0:
        try:
            fcntl.lockf(resource_tracker.getfd(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("name", [None, "cmp_test_stop"])
@pytest.mark.parametrize("call", ["create", "unlink"])
def test_a_signal_handler_may_raise_at_any_line(call, name):
    """Nothing is left then that the tracker does not know."""
    resource_tracker.ensure_running()
    assert others_may_name()
    gc.collect()
    before, descriptors = set(os.listdir("/dev/shm")), open_descriptors()
    old = sys.gettrace()
    for line in itertools.count(1):
        made = SharedMemory(name, create=True, size=1) if call == "unlink" else None
        finished = False
        sys.settrace(stopping_at(line, [cmp.shared_memory, resource_tracker]))
        try:
            if call == "unlink":
                made.unlink()
            else:
                made = SharedMemory(name, create=True, size=1)
            finished = True
        except Stop:
            pass
        finally:
            sys.settrace(old)
        for left in set(os.listdir("/dev/shm")) - before:
            assert "/" + left in resource_tracker._registered
            _cmp.unlink_segment("/" + left)
            resource_tracker.forget("/" + left)
        assert not resource_tracker._naming._is_owned()
        assert others_may_name(), line
        if finished:
            break
    assert line > 5
    del made
    gc.collect()
    assert open_descriptors() == descriptors


def test_naming_may_be_nested():
    """A signal handler may create a segment with a name while one is being created."""
    with resource_tracker.naming():
        with resource_tracker.naming():
            assert not others_may_name()
        assert not others_may_name()
    assert others_may_name()


@pytest.mark.parametrize("answer", [None, ValueError])
def test_a_wait_for_a_name_may_be_interrupted(answer):
    """By a handler that raises: then nothing is held; else the wait goes on."""
    calls = []

    def handler(*_):
        calls.append(None)
        if answer and len(calls) == 1:
            raise answer
        if len(calls) == 3 and not answer:
            os.write(go, b"x")

    old = signal.signal(signal.SIGALRM, handler)
    (end, go), (ready, said) = os.pipe(), os.pipe()
    resource_tracker.ensure_running()
    if (pid := os.fork()) == 0:
        os.close(go)
        with resource_tracker.naming():
            os.write(said, b"x")
            os.read(end, 1)
        os._exit(0)
    os.read(ready, 1)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    with pytest.raises(answer) if answer else contextlib.nullcontext():
        with resource_tracker.naming():
            assert not answer
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
    if answer:
        os.write(go, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    assert not resource_tracker._naming._is_owned()
    assert others_may_name()
    for descriptor in (end, go, ready, said):
        os.close(descriptor)


# A full /dev/shm

SMALL = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
if (libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None)
        or libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=64k")):
    print("refused")
    sys.exit()
from cmp.shared_memory import SharedMemory
"""


def run_small(folder, text):
    if run_program(folder, SMALL + text, silent=True)[:1] == ["refused"]:
        pytest.skip("this sandbox allows no mount namespace")


def test_more_than_there_is_says_what_and_why(tmp_path):
    run_small(tmp_path, """
import errno
for name in (None, "named"):
    for size in (65537, 1 << 30, 1 << 80):
        try:
            SharedMemory(name, create=True, size=size)
        except OSError as error:
            assert error.errno == errno.ENOSPC and not isinstance(error, MemoryError)
            for word in (str(size), "65536 bytes free", "/dev/shm", "--shm-size"):
                assert word in str(error), error
        else:
            raise AssertionError(size)
assert os.listdir("/dev/shm") == []
memory = SharedMemory(create=True, size=65536)
memory.buf[:] = b"x" * 65536
try:
    SharedMemory(create=True, size=1)
except OSError as error:
    assert "only 0 bytes free" in str(error)
else:
    raise AssertionError
memory.unlink()
""")


def test_reserve_allocates_at_once_or_not_at_all(tmp_path):
    run_small(tmp_path, """
sparse = SharedMemory(create=True, size=60000)
full = SharedMemory(create=True, size=40000, reserve=True)
for options in ({"create": True, "size": 40000}, {"name": sparse.name}):
    try:
        SharedMemory(**options, reserve=True)
    except OSError as error:
        assert "only 24576 bytes free" in str(error), error
    else:
        raise AssertionError
assert sorted(os.listdir("/dev/shm")) == sorted([sparse.name, full.name])
full.buf[:] = b"x" * 40000
full.unlink()
full.close()
SharedMemory(sparse.name, reserve=True).buf[:] = b"y" * 60000
sparse.unlink()
""")


def test_what_has_no_name_takes_nothing_from_it(tmp_path):
    run_small(tmp_path, """
import cmp
text, number = cmp.Array("c", 1 << 20), cmp.Value("i", 5)
text.raw = b"x" * (1 << 20)
try:
    array = cmp.shared_array(1 << 20, "u1", 7)
    assert array.sum() == 7 << 20
except ImportError:
    pass
assert text.raw.count(b"x") == 1 << 20 and number.value == 5 and os.listdir("/dev/shm") == []
""")


def test_reserve_has_memory_for_all_of_it():
    for reserve, blocks in ((False, 0), (True, 2 * 200_000 // 1024)):
        memory = SharedMemory(create=True, size=200_000, reserve=reserve)
        assert os.fstat(memory._fd).st_blocks >= blocks and (reserve or os.fstat(memory._fd).st_blocks == 0)
        memory.unlink()


# close(), unlink(), and what is left

def test_after_close_buf_raises_and_views_stay(memory):
    view, part = memory.buf, memory.buf[10:20]
    view[10] = 9
    memory.close()
    memory.close()
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{memory.name} is closed"):
            memory.buf  # noqa: B018
    assert view[10] == part[0] == 9 and memory._buf is None and memory._mmap is None and memory._fd == -1
    assert memory.size == 100
    part[1] = 8
    assert SharedMemory(memory.name).buf[11] == 8


def test_the_memory_goes_with_the_last_view():
    gc.collect()
    before = mappings()
    memory = SharedMemory(create=True, size=5000)
    memory.unlink()
    view = memory.buf[1:2]
    memory.close()
    del memory
    gc.collect()
    assert mappings() == before + 1
    view[0] = 3
    del view
    assert mappings() == before


# Each way to keep the memory of a buffer, and how to read its first byte through it.
WAYS = {
    "memoryview": (lambda buf: buf, lambda view: view[0]),
    "cast": (lambda buf: memoryview(buf)[:50].cast("B", (5, 10)), lambda view: view[0, 0]),
    "ctypes": (lambda buf: (ctypes.c_ubyte * 100).from_buffer(buf), lambda array: array[0]),
}
if numpy is not None:
    WAYS |= {
        "ndarray": (lambda buf: numpy.ndarray((10, 10), "u1", buffer=buf), lambda array: array[0, 0]),
        "part": (lambda buf: numpy.ndarray((100,), "u1", buffer=buf)[::2], lambda array: array[0]),
        "frombuffer": (lambda buf: numpy.frombuffer(buf, "u1"), lambda array: array[0]),
        "asarray": (lambda buf: numpy.asarray(buf), lambda array: array[0]),
    }


@pytest.mark.parametrize("order", list(itertools.permutations(["close", "unlink", "drop", "collect"])),
                         ids=lambda order: "-".join(order))
def test_views_of_every_kind_outlive_everything(order):
    for hold, read in WAYS.values():
        memory = SharedMemory(create=True, size=100)
        memory.buf[0] = 77
        held, name = hold(memory.buf), memory.name
        for step in order:
            if step == "collect":
                gc.collect()
            elif step == "drop":
                memory = None
            elif memory is not None:
                getattr(memory, step)()
        assert read(held) == 77
        if exists(name):
            _cmp.unlink_segment("/" + name)


@pytest.mark.skipif(numpy is None, reason="NumPy is not installed")
def test_an_array_outlives_the_memoryview_that_it_was_made_from():
    gc.collect()
    before = mappings()
    memory = SharedMemory(create=True, size=1 << 20)
    array = numpy.ndarray(1 << 20, "u1", buffer=memory.buf)
    memory.buf.release()
    memory.close()
    memory.unlink()
    del memory
    gc.collect()
    array[:] = 5
    assert array.sum() == 5 << 20 and mappings() == before + 1
    del array
    assert mappings() == before


def test_nothing_is_said_at_exit_in_any_order(tmp_path):
    run_program(tmp_path, """
import gc, random, sys
from cmp.shared_memory import ShareableList, SharedMemory
kept = []
class Cycle:
    pass
for turn in range(60):
    memory = SharedMemory(create=True, size=1000)
    cycle = Cycle()
    cycle.self, cycle.memory, cycle.view = cycle, memory, memory.buf[5:]
    memory.view, memory.cycle = memory.buf[1:], cycle
    memory.unlink()
    if turn % 3:
        memory.close()
    if turn % 2:
        kept.append((cycle, memory.view))
    globals()[f"name{turn}"] = memory, SharedMemory.unlink
class Late:
    memory = SharedMemory(create=True, size=10)
    def __del__(self):
        self.memory.unlink()  # gh-91577: when modules are being torn down
        self.memory.close()
late = Late()
numbers = ShareableList([1])
numbers.shm.unlink()
""")


def test_double_and_late_calls_are_silent(memory):
    other = SharedMemory(memory.name)
    memory.unlink()
    memory.unlink()
    assert memory.buf[0] == 0 and other.buf[0] == 0
    memory.close()
    memory.unlink()
    memory.close()
    with pytest.raises(FileNotFoundError):
        other.unlink()
    other.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickle.dumps(memory))


def test_unlinking_twice_does_not_touch_a_namesake():
    first = SharedMemory("cmp_test_twice", create=True, size=1)
    first.unlink()
    second = SharedMemory("cmp_test_twice", create=True, size=1)
    first.unlink()
    assert exists("cmp_test_twice")
    second.unlink()


def test_an_object_whose_making_failed_can_be_closed():
    for arguments in (("cmp_test_none",), (None, True, -1), ("a/b", True, 5)):
        memory = SharedMemory.__new__(SharedMemory)
        with pytest.raises((OSError, ValueError)):
            memory.__init__(*arguments)
        memory.close()
        memory.unlink()
        assert memory._fd == -1 and memory._buf is None


def test_descriptors_that_the_program_closes_itself(memory):
    os.close(memory._fd)
    memory._fd = -1
    reader, writer = os.pipe()  # takes the number
    memory.close()
    os.write(writer, b"x")
    os.close(reader)
    os.close(writer)


def test_threads_closing_at_once():
    SharedMemory(create=True, size=1).unlink()
    gc.collect()
    descriptors = open_descriptors()
    for _ in range(200):
        memory = SharedMemory(create=True, size=1)
        threads = [threading.Thread(target=memory.close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory.unlink()
        assert open_descriptors() == descriptors


# Many

def test_64_descriptors(tmp_path):
    run_program(tmp_path, """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from cmp.shared_memory import SharedMemory
views = []
for turn in range(500):
    memory = SharedMemory(create=True, size=10)
    views.append(memory.buf)
    memory.unlink()
    if turn % 2:
        memory.close()
held = []
try:
    while True:
        held.append(SharedMemory(create=True, size=10))
except OSError as error:
    assert error.errno == 24, error
for memory in held:
    memory.unlink()
del held, memory
SharedMemory(create=True, size=10).unlink()
""")


def test_many_created_and_dropped():
    SharedMemory(create=True, size=1).unlink()
    gc.collect()
    before = open_descriptors(), mappings(), len(resource_tracker._registered), set(os.listdir("/dev/shm"))
    for _ in range(COUNT):
        memory = SharedMemory(create=True, size=5000)
        memory.buf[0] = 1
        memory.unlink()
    del memory
    gc.collect()
    assert before == (open_descriptors(), mappings(), len(resource_tracker._registered), set(os.listdir("/dev/shm")))


def test_what_others_unlink_is_not_remembered_for_ever():
    for _ in range(3 * resource_tracker._LOOK):
        memory = SharedMemory(create=True, size=1)
        os.unlink(f"/dev/shm/{memory.name}")
    assert len(resource_tracker._registered) <= 2 * resource_tracker._LOOK
    resource_tracker._forget_gone()


def test_nothing_leaks(memory):
    def use():
        made = SharedMemory(create=True, size=10)
        other = SharedMemory(made.name)
        other.buf[0] = made.buf[0]
        other.close()
        repr(made), pickle.dumps(made), made.name, made.size, made._fd
        made.close()
        made.unlink()
        for bad in ({"name": "cmp_test_none"}, {"create": True}, {"create": True, "size": 2**70}, {"name": "a/b"},
                    {"name": memory.name, "create": True, "size": 1}):
            with pytest.raises((OSError, ValueError)):
                SharedMemory(**bad)

    counts = []
    for _ in range(3):
        for _ in range(100):
            use()
        gc.collect()
        counts.append((sys.getallocatedblocks(), len(gc.get_objects()), len(open_descriptors()), mappings()))
    assert counts[2][1:] == counts[1][1:]
    assert counts[2][0] - counts[1][0] < 50
    assert sys.getrefcount(_cmp.Segment) < 1000


def test_no_arena_is_made(tmp_path):
    run_program(tmp_path, """
import os
from cmp.shared_memory import SharedMemory
SharedMemory(create=True, size=1).unlink()
for name in os.listdir("/proc/self/fd"):
    if os.path.exists(f"/proc/self/fd/{name}"):
        assert "memfd" not in os.readlink(f"/proc/self/fd/{name}")
""")
