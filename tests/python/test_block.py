"""_cmp.Block: memory in the arena, as a buffer that travels by reference."""
import ctypes
import gc
import os
import pickle
import signal
import sys
import threading
import time
import weakref

import pytest
from crew import arena_bytes, run_program, running

import cmp
from cmp._cmp import Block

MIB = 1 << 20
SIZES = [1, 8, 63, 4096, 50_000, 1 << 16, (1 << 16) + 1, 200_000, 5 * 65536, MIB, 3 * MIB + 17]


@pytest.fixture(autouse=True)
def sound():
    yield
    gc.collect()
    assert cmp.check() == []


# The buffer

@pytest.mark.parametrize("nbytes", [0, *SIZES])
def test_a_writable_buffer_of_bytes(nbytes):
    block = Block(nbytes)
    view = memoryview(block)
    assert (view.nbytes, view.format, view.ndim, view.itemsize, view.readonly) == (nbytes, "B", 1, 1, False)
    assert len(block) == block.nbytes == nbytes
    assert bytes(view) == bytes(nbytes)
    contents = os.urandom(nbytes)
    view[:] = contents
    assert bytes(block) == contents


def test_zeroes_unless_told_otherwise():
    for nbytes in SIZES:
        for _ in range(3):
            block = Block(nbytes)
            assert bytes(block) == bytes(nbytes)
            memoryview(block)[:] = b"\xff" * nbytes
            del block
            assert len(Block(nbytes, False)) == len(Block(nbytes, zero=False)) == nbytes


@pytest.mark.parametrize("nbytes", [100, 50_000, MIB])
def test_views_keep_it_alive(nbytes):
    block = Block(nbytes)
    gone = weakref.ref(block)
    view = memoryview(block)[10:20]
    number = ctypes.c_char.from_buffer(block, 11)
    del block
    gc.collect()
    others = [Block(nbytes) for _ in range(20)]
    for other in others:
        memoryview(other)[:] = b"\xff" * nbytes
    assert bytes(view) == bytes(10)
    number.value = b"x"
    assert bytes(view) == b"\0x" + bytes(8)
    view.release()
    assert gone() is not None
    del number
    gc.collect()
    assert gone() is None


def test_numpy_views():
    np = pytest.importorskip("numpy")
    block = Block(8 * 1000)
    array = np.frombuffer(block, dtype="d")
    array[:] = np.arange(1000)
    same = np.ndarray((10, 100), "d", block)
    del block
    gc.collect()
    assert same[9, 99] == 999 and same.flags.writeable


def test_blocks_do_not_overlap():
    made = [Block(nbytes) for nbytes in SIZES for _ in range(5)]
    for i, block in enumerate(made):
        memoryview(block)[:] = bytes([i + 1]) * len(block)
    for i, block in enumerate(made):
        assert bytes(block) == bytes([i + 1]) * len(block)


def test_reading_a_file_into_it(tmp_path):
    (tmp_path / "file").write_bytes(os.urandom(MIB))
    block = Block(MIB, zero=False)
    with open(tmp_path / "file", "rb") as file:
        assert file.readinto(block) == MIB
    assert bytes(block) == (tmp_path / "file").read_bytes()


# Arguments

@pytest.mark.parametrize("bad, error, text", [
    (-1, ValueError, "-1"), (-10**30, ValueError, str(-10**30)), (1.0, TypeError, "1.0"), ("1", TypeError, "'1'"),
    (None, TypeError, "None"), (1 << 45, MemoryError, str(1 << 45)), (sys.maxsize, MemoryError, str(sys.maxsize)),
    (10**30, MemoryError, str(10**30)),
])
def test_bad_sizes(bad, error, text):
    with pytest.raises(error, match=text):
        Block(bad)


def test_sizes_with_an_index():
    class Number:
        def __index__(self):
            return 1000
    assert len(Block(Number())) == 1000
    with pytest.raises(TypeError):
        Block()
    with pytest.raises(TypeError):
        Block(1, 2, 3)
    with pytest.raises(TypeError):
        Block(1, nonsense=2)


def test_before_init():
    block = Block.__new__(Block)
    for use in (len, memoryview, bytes, pickle.dumps, lambda block: block.nbytes):
        with pytest.raises((RuntimeError, TypeError)):
            use(block)


def test_initialised_once():
    block = Block(10)
    with pytest.raises(RuntimeError):
        block.__init__(50_000)
    assert len(block) == 10 and bytes(block) == bytes(10)


def test_subclasses_and_attributes():
    block = Named(300_000)
    block.name = "a"
    memoryview(block)[:3] = b"abc"
    same = pickle.loads(pickle.dumps(block))
    assert type(same) is Named and same.name == "a" and len(same) == 300_000
    memoryview(same)[3:4] = b"d"
    assert bytes(memoryview(block)[:5]) == b"abcd\0"


class Named(Block):
    pass


# Other processes

def fill(block, told, go):
    view = memoryview(block)
    told.put(bytes(view[-3:]))
    view[:] = b"\x07" * len(view)
    told.put("written")
    go.wait()


@pytest.mark.parametrize("nbytes", [100, 50_000, MIB])
def test_a_child_writes_what_the_parent_sees(ctx, nbytes):
    block, told, go = Block(nbytes), ctx.SimpleQueue(), cmp.Event()
    memoryview(block)[-3:] = b"abc"
    with running(ctx, fill, block, told, go) as process:
        assert told.get() == b"abc"
        assert told.get() == "written"
        assert bytes(block) == b"\x07" * nbytes
        go.set()
        process.join()


@pytest.mark.parametrize("end", ["SIGKILL", "join"])
@pytest.mark.parametrize("nbytes", [50_000, MIB])
def test_it_goes_with_its_last_holder(ctx, nbytes, end):
    """Also where that is a child, however it ends: its memory is used again, and nothing grows."""
    for _ in range(2):
        block, told, go = Block(nbytes), ctx.SimpleQueue(), cmp.Event()
        memoryview(block)[-3:] = b"abc"
        with running(ctx, fill, block, told, go) as process:
            del block
            gc.collect()
            others = [Block(nbytes) for _ in range(3)]
            assert told.get() == b"abc" and told.get() == "written"
            assert all(bytes(other) == bytes(nbytes) for other in others)
            if end == "SIGKILL":
                os.kill(process.pid, signal.SIGKILL)
            else:
                go.set()
            process.join()
        del others


def test_children_leave_no_memory_behind():
    ctx = cmp.get_context("fork")
    sizes = []
    for _ in range(60):
        block = Block(2 * MIB)
        with running(ctx, time.sleep, 0) as process:
            process.join()
        del block, process
        sizes.append(arena_bytes())
    assert sizes[-1] <= sizes[10] + 8 * MIB


def test_fork_goes_on_in_both():
    block = Block(MIB)
    view = memoryview(block)
    if (pid := os.fork()) == 0:
        del block
        view[:4] = b"abcd"
        view.release()
        gc.collect()
        os._exit(0 if cmp.check() == [] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert bytes(view[:4]) == b"abcd"


def test_a_pickle_keeps_it_while_its_maker_lives():
    for nbytes in (1000, MIB):
        block = Block(nbytes)
        memoryview(block)[:3] = b"abc"
        data = pickle.dumps(block)
        del block
        others = [Block(nbytes) for _ in range(10)]
        assert bytes(memoryview(pickle.loads(data))[:3]) == b"abc"
        del others


def make_and_send(connection, nbytes):
    connection.send_bytes(pickle.dumps(Block(nbytes)))
    connection.recv_bytes()


@pytest.mark.parametrize("nbytes", [100, MIB])
def test_a_stale_pickle_raises(ctx, nbytes):
    theirs, ours = ctx.Pipe()
    with running(ctx, make_and_send, theirs, nbytes) as process:
        data = ours.recv_bytes()
        assert len(pickle.loads(data)) == nbytes
        ours.send_bytes(b"end")
        process.join()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="gone"):
            pickle.loads(data)
    theirs.close()
    ours.close()


def test_another_family_is_refused(tmp_path):
    (tmp_path / "pickle").write_bytes(pickle.dumps(Block(MIB)))
    assert run_program(tmp_path, """
import pickle, cmp
cmp._cmp.Block(MIB := 1 << 20)
try:
    print(pickle.load(open("pickle", "rb")))
except RuntimeError as error:
    print("another family" in str(error))
""") == ["True"]


# Forged

def forge(block, at, value):
    state = list(block.__getstate__())
    state[at] = value
    return tuple(state)


@pytest.mark.parametrize("nbytes", [1000, MIB])
def test_forged_states(nbytes):
    block = Block(nbytes)
    ref, other = block.__getstate__()[1], Block(10 * MIB if nbytes == 1000 else 10)
    bad = [forge(block, 3, value) for value in (-1, None, "1", 1 << 64, 10 * nbytes * nbytes, 1.0)]
    bad += [forge(block, 1, value) for value in (0, ref + 1, 1 << 63, -1, None, other.__getstate__()[1])]
    bad += [(), (1,), None, block.__getstate__()[:3], (*block.__getstate__(), 1), cmp.Lock().__getstate__()]
    for state in bad:
        fresh = Block.__new__(Block)
        with pytest.raises((ValueError, RuntimeError)):
            fresh.__setstate__(state)
        with pytest.raises((RuntimeError, TypeError)):
            memoryview(fresh)


def test_a_smaller_view_of_it():
    """What a state says may be less than what there is."""
    block, part = Block(MIB), Block.__new__(Block)
    part.__setstate__(forge(block, 3, MIB - 10))
    assert len(part) == MIB - 10
    memoryview(part)[0] = 5
    assert memoryview(block)[0] == 5


# Memory

def test_dropped_memory_is_used_again():
    Block(MIB)
    before = arena_bytes()
    for _ in range(2000):
        memoryview(Block(MIB, zero=False))[0] = 1
    assert arena_bytes() == before


def test_much_dropped_memory_is_given_back():
    before = arena_bytes()
    made = [Block(64 * MIB, zero=False) for _ in range(6)]
    assert arena_bytes() >= 384 * MIB
    del made
    assert arena_bytes() <= before + 260 * MIB


def no_more_memory(folder, setup):
    return run_program(folder, f"""
import cmp, os, resource, sys
from cmp._cmp import Block
{setup}
for nbytes in (3 << 20, 50_000, 5000):
    made = []
    try:
        while True:
            made.append(Block(nbytes))
            memoryview(made[-1])[:] = bytes([len(made) % 251]) * nbytes
            assert len(made) < 20000
    except MemoryError as error:
        assert str(nbytes) in str(error), error
    for i, block in enumerate(made):
        assert bytes(block) == bytes([(i + 1) % 251]) * nbytes
    assert len(made) > 3
    del made, block
print(cmp.check())
""")


def test_file_size_limit(tmp_path):
    assert no_more_memory(tmp_path, "resource.setrlimit(resource.RLIMIT_FSIZE, (30 << 20,) * 2)") == ["[]"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_file_system(tmp_path):
    """No SIGBUS, where the arena lies in a small /dev/shm."""
    said = no_more_memory(tmp_path, """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) < 0 or libc.mount(b"none", b"/", None, 0x44000, None) < 0 or \\
        libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=20m") < 0:
    print("refused")
    sys.exit()
if not os.environ.get("CMP_LACKS"):
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "CMP_LACKS": "memfd"})
""")
    if said == ["refused"]:
        pytest.skip("this sandbox allows no mount namespace")
    assert said == ["[]"]


def test_more_than_the_machine_has():
    with open("/proc/meminfo") as file:
        total = next(int(line.split()[1]) for line in file if line.startswith("MemTotal"))
    with pytest.raises(MemoryError, match=str(total * 1024)):
        Block(total * 1024)


def test_threads():
    """Made, checked and dropped at once, beside forks."""
    errors = []

    def work(seed):
        for i in range(200):
            nbytes = (seed * 7919 + i * 104729) % (2 * MIB)
            block = Block(nbytes, zero=i % 2 == 0)
            if i % 2 == 0 and bytes(block) != bytes(nbytes):
                errors.append("not zeroes")
            memoryview(block)[:] = bytes([seed]) * nbytes
            if bytes(block) != bytes([seed]) * nbytes:
                errors.append("overwritten")

    threads = [threading.Thread(target=work, args=(i + 1,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        if (pid := os.fork()) == 0:
            Block(MIB)
            os._exit(len(cmp.check()))
        assert os.waitpid(pid, 0)[1] == 0
    for thread in threads:
        thread.join()
    assert errors == []


def test_other_threads_go_on_while_much_is_given_back():
    block, ticks, over = Block(512 * MIB, zero=False), [0], threading.Event()

    def tick():
        while not over.is_set():
            ticks[0] += 1
            time.sleep(0)  # lets go of the GIL

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=tick)
    thread.start()
    try:
        sys.setswitchinterval(100)  # from now on, only who lets go of the GIL lets others run
        time.sleep(0.01)
        before = ticks[0]
        del block
        assert ticks[0] > before
    finally:
        sys.setswitchinterval(interval)
        over.set()
        thread.join()


def test_nothing_leaks():
    block = Block(MIB)

    def once():
        memoryview(Block(MIB, False)).release()
        len(block), block.nbytes, bytes(memoryview(block)[:1])
        for bad in (-1, "x", 1 << 60):
            with pytest.raises((ValueError, TypeError, MemoryError)):
                Block(bad)
        with pytest.raises(ValueError):
            Block.__new__(Block).__setstate__(forge(block, 3, -1))
        same = Block.__new__(Block)
        same.__setstate__(block.__getstate__())

    def lost():
        gc.collect()
        before = sys.getallocatedblocks(), sys.getrefcount(block), sys.getrefcount(Block)
        for _ in range(500):
            once()
        gc.collect()
        after = sys.getallocatedblocks(), sys.getrefcount(block), sys.getrefcount(Block)
        return max(b - a for a, b in zip(before, after, strict=True))
    lost()
    assert min(lost() for _ in range(3)) < 250  # one per turn would be 500
