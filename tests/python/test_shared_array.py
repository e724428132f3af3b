"""shared_array: an ordinary ndarray that, with its views, travels by reference to any process of the family."""
import collections
import contextlib
import gc
import io
import operator
import os
import pickle
import random
import subprocess
import sys
import time
import warnings
from multiprocessing.reduction import ForkingPickler

import pytest
from crew import arena_bytes, running

import cmp

np = pytest.importorskip("numpy")

SECONDS = float(os.environ.get("CMP_TEST_SECONDS", 3))  # how long children are killed at random
RECORD = [("id", "i4"), ("at", "f8", (2,)), ("name", "U5")]


def travel(made):
    return pickle.loads(ForkingPickler.dumps(made))


# What it is

@pytest.mark.parametrize("shape, dtype", [
    (3, float), ((2, 3), "i2"), ((), "f8"), ((0, 3), "u1"), (0, "i4"), (range(1, 4), ">f4"), ([2, 2], bool),
    (np.int64(2), "c16"), (3, "S"), (3, "U7"), (2, "M8[s]"), (2, RECORD), (2, ("i4", (2, 2))), (1, "V5"),
    ((1,) * 20, "i1")])
def test_it_is_what_zeros_returns(shape, dtype):
    made, like = cmp.shared_array(shape, dtype), np.zeros(shape, dtype)
    assert type(made) is np.ndarray
    assert (made.shape, made.dtype) == (like.shape, like.dtype) and (made.strides == like.strides or not made.size)
    assert made.flags.c_contiguous and made.flags.writeable and made.flags.aligned
    assert made.tobytes() == like.tobytes()
    assert cmp.shared_array(3).dtype == float


@pytest.mark.parametrize("shape, dtype, fill", [(3, float, 1.5), ((2, 3), int, [1, 2, 3]), ((), "i4", 7), (0, int, 5),
                                                (2, "U5", "abc"), (2, RECORD, (1, (2, 3), "x")), (3, "?", True),
                                                (2, "M8[s]", "2020-01-01"), (3, "u1", 0), (2, float, np.arange(2))])
def test_fill(shape, dtype, fill):
    like = np.zeros(shape, dtype)
    like[...] = fill
    for _ in range(3):  # also in memory that was used before
        made = cmp.shared_array(shape, dtype, fill)
        assert (made == like).all() and made.dtype == like.dtype and made.shape == like.shape
    assert (cmp.shared_array(dtype=dtype, shape=shape, fill=fill) == like).all()


def test_fresh_memory_is_zero():
    for nbytes in (8, 5000, 300_000, 5_000_000):
        for _ in range(3):
            made = cmp.shared_array(nbytes, "u1")
            assert not made.any()
            made[:] = 255
            del made


@pytest.mark.parametrize("args, error, words", [
    ((-1,), ValueError, "negative"), (((2, -1),), ValueError, "-1"), (("3",), TypeError, "'3'"),
    ((1.5,), TypeError, "1.5"), (((1, 2.0),), TypeError, "2.0"), ((None,), TypeError, "None"),
    ((3, object), TypeError, "Python objects"), ((3, "O,i4"), TypeError, "Python objects"),
    ((3, "nonsense"), TypeError, "nonsense"),
    ((3, int, "x"), ValueError, "x"), ((3, int, [1, 2]), ValueError, "shape"), (((1,) * 100,), ValueError, "100"),
    ((2**50, "f8"), MemoryError, str(2**53)), ((2**70, "u1"), MemoryError, str(2**70)),
    (((2**40, 2**40), "u1"), MemoryError, str(2**80)), ((), TypeError, "shape")])
def test_errors(args, error, words):
    with pytest.raises(error, match=words):
        cmp.shared_array(*args)


def test_without_numpy(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('not here')")
    program = "import cmp\ntry: cmp.shared_array(3)\nexcept ImportError as error: print(error)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path,
                         env={"PYTHONPATH": str(tmp_path)})
    assert "NumPy" in ran.stdout and not ran.stderr, ran


def test_numpy_is_not_imported_before_it_is_needed():
    program = "import sys, cmp; cmp.Array('d', 3); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# Views

VIEWS = {
    "itself": lambda a: a,
    "slice": lambda a: a[1:3],
    "step": lambda a: a[::2, 1::2],
    "backwards": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "reshaped": lambda a: a.reshape(2, 12),
    "row": lambda a: a[2],
    "element": lambda a: a[2, 3, ...],
    "empty": lambda a: a[4:],
    "nothing of a slice": lambda a: a[1:1, 2:],
    "bytes": lambda a: a.view("u1"),
    "other type": lambda a: a.view("i2")[1:],
    "read only": lambda a: np.broadcast_to(a, a.shape),
    "broadcast": lambda a: np.broadcast_to(a[1], (3, 6)),
    "new axis": lambda a: a[None, :, None],
    "diagonal": lambda a: a.diagonal(),
    "view of a view": lambda a: a[1:].T[2:][::-1],
    "field": lambda a: a.view([("x", "i4"), ("y", "i4")])["y"],
    "sliding window": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=1),
    "memoryview": lambda a: np.asarray(memoryview(a)[1:]),
    "frombuffer": lambda a: np.frombuffer(a, "i8")[3:],
    "as_strided": lambda a: np.lib.stride_tricks.as_strided(a, (3, 3), (8, 16)),
    "frombuffer of a memoryview": lambda a: np.frombuffer(memoryview(a)[2:], "i8"),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_travel_by_reference(view):
    whole = cmp.shared_array((4, 6), "i8")
    whole.flat = range(24)
    made = VIEWS[view](whole)
    for same in (travel(made), travel(travel(made))):
        assert type(same) is np.ndarray and (same.shape, same.strides, same.dtype, same.flags.writeable) == (
            made.shape, made.strides, made.dtype, made.flags.writeable)
        assert (same == made).all()
        assert same.size == 0 or same.__array_interface__["data"][0] == made.__array_interface__["data"][0]
        whole += 1
        assert (same == made).all()


def test_records_travel():
    made = cmp.shared_array(3, RECORD)
    same = travel(made)
    made["name"][1] = "abc"
    same["at"][2] = 7
    assert same["name"][1] == "abc" and made[2]["at"].tolist() == [7, 7]
    names = travel(made["name"])
    names[0] = "xyz"
    assert made["name"].tolist() == ["xyz", "abc", ""]


def test_one_pickle_keeps_identity():
    made = cmp.shared_array(3)
    first, again, view = travel((made, made, made[1:]))
    assert first is again
    view[0] = 5
    assert made[1] == 5


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_all_other_arrays_travel_as_copies(protocol):
    shared = cmp.shared_array(6)
    contains_itself = np.array([None, 1], dtype=object)
    contains_itself[0] = contains_itself
    same = pickle.loads(ForkingPickler.dumps(contains_itself, protocol))
    assert same[0] is same and same[1] == 1
    for made in (np.arange(6.0).reshape(2, 3)[:, ::2], shared.copy(), shared + 1, np.array(5), np.zeros(0),
                 np.zeros(2, RECORD), np.frombuffer(cmp.RawArray("d", 6)), np.asfortranarray(np.eye(3)),
                 np.array(["a", None], dtype=object)):
        data = ForkingPickler.dumps(made, protocol)
        same = pickle.loads(data)
        assert (same == made).all() and same.dtype == made.dtype and same.flags.f_contiguous == made.flags.f_contiguous
        assert b"cmp" not in bytes(data)  # any Python can load it
        if made.size and made.flags.writeable and not made.dtype.hasobject:
            before = made.tobytes()
            same.fill(same.flat[0] if made.dtype.names else 77)
            assert made.tobytes() == before


def test_two_threads_may_find_numpy_at_once(monkeypatch):
    """The later one must not take cmp's own reducer for what was there before."""
    cmp.shared_array(1)
    monkeypatch.setattr(cmp.arrays, "_np", None)
    cmp.shared_array(1)
    assert travel(np.arange(3)).tolist() == [0, 1, 2]


def test_an_array_whose_memoryview_was_released_travels_as_a_copy():
    cmp.shared_array(1)
    view = memoryview(bytearray(b"abc"))
    made = np.ndarray(3, "u1", buffer=view)
    view.release()
    assert travel(made).tobytes() == b"abc"


def test_out_of_band_buffers_as_ever():
    cmp.shared_array(1)
    buffers, data, made = [], io.BytesIO(), np.arange(1000.0)
    pickler = ForkingPickler(data, 5, True, buffers.append)
    pickler.dump(made)
    assert len(data.getvalue()) < 500
    assert (pickle.loads(data.getvalue(), buffers=buffers) == made).all()


def test_plain_pickle_copies():
    made = cmp.shared_array(3, int, 5)
    same = pickle.loads(pickle.dumps(made))
    made += 1
    assert same.tolist() == [5, 5, 5]


def test_subclasses_travel_as_ever():
    made = np.ma.masked_array(cmp.shared_array(3), [1, 0, 0])
    assert type(travel(made)) is np.ma.MaskedArray
    assert travel(cmp.shared_array(3).view(np.matrix)).tolist() == [[0, 0, 0]]


# Processes

def add_one(made, view=None):
    made += 1
    if view is not None:
        view *= 2


def check_with_child(start, made):
    made[...] = 3
    start(made, made[1:])
    assert made[0].tolist() == [4] * 3 and made[1:].tolist() == [[8] * 3] * 3


def test_as_an_argument(ctx):
    def start(*args):
        process = ctx.Process(target=add_one, args=args)
        process.start()
        process.join()
        assert process.exitcode == 0
    check_with_child(start, cmp.shared_array((4, 3)))


def test_inherited_by_fork():
    made = cmp.shared_array((4, 3))

    def start(*args):
        process = cmp.get_context("fork").Process(target=lambda: add_one(made, made[1:]))
        process.start()
        process.join()
    check_with_child(start, made)


def tell_sum(made, answers):
    answers.put(made.sum())


def test_dropped_while_the_child_starts(ctx):
    answers = ctx.SimpleQueue()
    processes = [ctx.Process(target=tell_sum, args=(cmp.shared_array(200_000, "i4", number), answers))
                 for number in range(3)]
    for process in processes:
        process.start()
    others = [cmp.shared_array(200_000, "i4", 77) for _ in range(20)]
    assert sorted(answers.get() for _ in processes) == [0, 200_000, 400_000] and others
    for process in processes:
        process.join()


def add_from_connection(connection):
    add_one(*connection.recv())
    connection.send("done")
    add_one(*connection.recv())
    connection.send(cmp.shared_array(1000, int, 5))
    connection.recv()


def test_through_a_pipe(ctx):
    made = cmp.shared_array((4, 3))
    ours, theirs = ctx.Pipe()
    with running(ctx, add_from_connection, theirs) as process:
        check_with_child(lambda *args: (ours.send(args), ours.recv()), made)
        view = made.T[:2]
        ours.send((view,))
        theirs_made = ours.recv()
        ours.send("bye")
        process.join()
    assert made[0].tolist() == [5, 5, 4]
    assert theirs_made.sum() == 5000  # lives on, though its maker has ended
    ours.close()
    theirs.close()


def add_from_queue(queue, answers):
    for args in iter(queue.get, None):
        add_one(*args)
        answers.put(args[0])


def test_through_queues(ctx):
    made = cmp.shared_array((4, 3))
    queue, answers = ctx.Queue(), ctx.Queue()
    with running(ctx, add_from_queue, queue, answers) as process:
        check_with_child(lambda *args: (queue.put(args), answers.get(timeout=60)), made)
        queue.put((made,))
        same = answers.get(timeout=60)
        queue.put(None)
        process.join()
    made[...] = 7
    assert (same == 7).all()
    for used in (queue, answers):
        used.close()
        used.join_thread()


def add_and_return(args):
    add_one(*args)
    return args[0]


def test_through_pools(ctx):
    made = cmp.shared_array((4, 3))
    with ctx.Pool(2) as pool:
        check_with_child(lambda *args: pool.apply_async(add_and_return, (args,)).get(60), made)
        rows = pool.map(add_and_return, [(row,) for row in made])
        made[...] = 9
        assert all((row == 9).all() for row in rows)
        pool.close()
        pool.join()


def make_in_child(queue):
    made = cmp.shared_array(100_000)
    made[:] = 5
    queue.put(made)
    queue.put(None)
    time.sleep(0.3)


def test_made_in_a_child_and_kept_after_its_end(ctx):
    queue = ctx.SimpleQueue()
    process = ctx.Process(target=make_in_child, args=(queue,))
    process.start()
    made = queue.get()
    assert queue.get() is None
    process.join()
    others = [cmp.shared_array(100_000) for _ in range(20)]
    assert (made == 5).all() and not any(other.any() for other in others)


def test_a_plain_python_reads_what_is_no_shared_array(tmp_path):
    cmp.shared_array(1)
    (tmp_path / "data").write_bytes(ForkingPickler.dumps(np.arange(5)))
    program = ("import pickle, sys; assert pickle.load(open('data', 'rb')).tolist() == [0, 1, 2, 3, 4]; "
               "sys.exit('cmp' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path).returncode == 0


def test_in_another_family_it_raises(tmp_path):
    (tmp_path / "data").write_bytes(ForkingPickler.dumps(cmp.shared_array(3)))
    program = "import cmp, pickle, sys; cmp.Lock(); pickle.load(open(sys.argv[1], 'rb'))"
    ran = subprocess.run([sys.executable, "-c", program, tmp_path / "data"], capture_output=True, text=True)
    assert ran.returncode == 1 and "RuntimeError: this" in ran.stderr and "another family" in ran.stderr


# How long it lives

def test_it_lives_as_long_as_its_last_view():
    made = cmp.shared_array((100, 1000), int, 7)
    views = [made[50], made.T, travel(made[3:5]), memoryview(made)]
    del made
    gc.collect()
    others = [cmp.shared_array((100, 1000), int, 8) for _ in range(10)]
    assert all((np.asarray(view) == 7).all() for view in views) and len(others) == 10


def test_it_goes_at_once_where_nobody_else_ever_had_it():
    first = cmp.shared_array(1 << 20, "u1")
    address = first.__array_interface__["data"][0]
    del first
    assert cmp.shared_array(1 << 20, "u1").__array_interface__["data"][0] == address


def test_references_are_not_leaked():
    made = cmp.shared_array((4, 6))

    def turn():
        for fill in (None, 1, "x", [1, 2]):
            with contextlib.suppress(ValueError):
                cmp.shared_array(10, float, fill)
        for view in (made, made[1:], np.zeros(3)):
            travel(view)
        for wrong in ((-1,), ("x",), (3, object), (2**60,)):
            with contextlib.suppress(ValueError, TypeError, MemoryError):
                cmp.shared_array(*wrong)

    def growth():
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(100):
            turn()
        gc.collect()
        return sys.getallocatedblocks() - before
    assert min(growth() for _ in range(5)) < 50  # one for each turn would be 100


def scribble(seed, ours, theirs):
    """Make, pass, check and drop for ever, until killed."""
    choose = random.Random(seed)
    kept = collections.deque(maxlen=10)
    while True:
        mark = choose.randrange(1, 1 << 30)
        made = cmp.shared_array(choose.choice((1, 100, 5000, 100_000, 500_000)), "i4", mark)
        kept.append((mark, made))
        for mark, kept_one in kept:
            assert (kept_one == mark).all()
        if choose.random() < 0.3:
            ours.put((mark, made))
        if choose.random() < 0.3 and not theirs.empty():
            with contextlib.suppress(RuntimeError):  # its maker was killed before we held it
                mark, made = theirs.get()
                assert (made == mark).all()
                kept.append((mark, made[::2]))
        if choose.random() < 0.1:
            fork_and_check(kept)


def fork_and_check(kept):
    pid = os.fork()
    if pid == 0:
        right = all((made == mark).all() for mark, made in kept)
        kept.clear()
        made = cmp.shared_array(1000, "i4", 5)
        os._exit(not (right and (made == 5).all()))
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.limit(180 + 2 * SECONDS)
@pytest.mark.filterwarnings("ignore::cmp.OwnerDiedWarning")
def test_children_killed_at_random(ctx):
    """No memory is given to another while it is in use, none is lost, and cmp.check() finds all of it in order."""
    choose = random.Random()
    mine, until = collections.deque(maxlen=50), time.monotonic() + SECONDS
    while time.monotonic() < until:
        queues = [ctx.SimpleQueue(), ctx.SimpleQueue()]
        processes = [ctx.Process(target=scribble, args=(choose.random(), *queues)),
                     ctx.Process(target=scribble, args=(choose.random(), *reversed(queues)))]
        for process in processes:
            process.start()
        time.sleep(choose.uniform(0.1, 0.8))
        assert all(process.is_alive() for process in processes)
        for process in processes:
            process.kill()
            process.join()
        mark = choose.randrange(1 << 30)
        mine.append((mark, cmp.shared_array(choose.choice((10, 300_000)), "i8", mark)))
        assert all((made == mark).all() for mark, made in mine)
        assert cmp.check() == []
    assert arena_bytes() < 1 << 30


def write_pattern(made):
    made[::4096] = 7


def test_64_mb_to_a_child_without_a_copy(ctx):
    made = cmp.shared_array(64 << 20, "u1")
    process = ctx.Process(target=write_pattern, args=(made,))
    assert len(ForkingPickler.dumps(made)) < 1000
    process.start()
    process.join()
    assert made[::4096].sum() == 7 * (64 << 20) // 4096 and operator.index(made[1]) == 0


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        travel(cmp.shared_array(3, RECORD)["at"])
