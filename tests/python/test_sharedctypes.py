"""Value, Array, RawValue, RawArray: what multiprocessing's do, in memory of the family, wherever they travel."""
import array
import collections
import contextlib
import ctypes
import gc
import math
import multiprocessing
import multiprocessing.heap
import multiprocessing.sharedctypes
import operator
import os
import pickle
import random
import re
import sys
import threading
import time
import warnings
import weakref
from multiprocessing.reduction import ForkingPickler

import pytest
from crew import run_program, running

import cmp
import cmp.heap
import cmp.sharedctypes


class SubclassOfInt(ctypes.c_int):
    pass


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]


class Whole(int):
    pass


class Real(float):
    pass


class Index:
    def __index__(self):
        return 2


class Float:
    def __float__(self):
        return 2.5


CODES = list("cubBhHiIlLqQfd")
TYPES = [*CODES, ctypes.c_bool, ctypes.c_longdouble, ctypes.c_int.__ctype_be__, ctypes.c_double.__ctype_be__,
         SubclassOfInt, ctypes.c_void_p, ctypes.c_char, ctypes.c_size_t]
VALUES = [0, 1, -1, 200, 2**31, -2**40, 2**63, 2**70, -2**200, True, 0.5, -0.0, 1e300, math.inf, math.nan, b"", b"x",
          b"xy", bytearray(b"x"), "", "x", "xy", "\u20ac", None, [1], 1j, Whole(7), Real(2.5), Index(), Float()]


def raises(errors, function, *args, **kwargs):
    with pytest.raises(errors):
        function(*args, **kwargs)


def outcome(function, *args):
    """What a call returns or raises, comparable."""
    try:
        return re.sub(" at 0x[0-9a-f]+", "", repr(function(*args)))
    except Exception as error:
        return type(error), str(error)


def both(function, *args):
    """What the function gives with multiprocessing and with cmp, which are to be the same."""
    theirs, ours = (outcome(function, module, *args) for module in (multiprocessing, cmp))
    assert ours == theirs, args
    return ours


# The same as multiprocessing

def set_value(module, type_, value):
    made = module.Value(type_)
    outcomes = [outcome(setattr, made, "value", value), made.value, outcome(lambda: module.Value(type_, value).value)]
    return outcomes, made.get_obj(), repr(made), made.get_lock().acquire(False)


@pytest.mark.parametrize("type_", TYPES)
def test_values(type_):
    for value in VALUES:
        both(set_value, type_, value)


KEYS = [0, 2, -1, -3, 3, -4, 99, 2**70, -2**70, True, 1.0, "x", None, Whole(1), Index(), (0, 1), slice(None),
        slice(1, 3), slice(-2, None), slice(None, None, -1), slice(0, 3, 2), slice(5, 9), slice(2, 1), slice("a"),
        slice(None, None, 0), slice(2**70), ...]
SLICES = [[], [1], [1, 2, 3], (4, 5, 6), (1, 2), [1, "x", 3], [0.5, 1.5, 2.5], [1, 2.5, 3], b"abc", b"ab", "abc",
          [b"a", b"b", b"c"], ["a", "b", "c"], bytearray(b"\xff\x80\x7f"), range(3), iter([1, 2, 3]), None, 5,
          array.array("d", [1, 2, 3]), array.array("i", [-1, 2, 3]), array.array("I", [2**31, 2, 3]),
          array.array("q", [-1, 2**40, 3]), array.array("b", [-1, 2, 3]), memoryview(b"abcdef")[::2],
          memoryview(array.array("f", [1, 2, 3])), [Whole(1), True, 3], [2**70, -1, 300]]


def get_item(module, type_, key):
    return outcome(lambda: module.Array(type_, 3)[key])


def set_item(module, type_, key, value):
    made = module.Array(type_, 3)
    return outcome(made.__setitem__, key, value), made[:], made.get_lock().acquire(False)


@pytest.mark.parametrize("type_", TYPES)
def test_items(type_):
    for key in KEYS:
        both(get_item, type_, key)
        both(set_item, type_, key, 1)
    for value in VALUES:
        both(set_item, type_, 1, value)


@pytest.mark.parametrize("type_", TYPES)
def test_slices(type_):
    for value in SLICES:
        for key in (slice(None), slice(None, None, -1), slice(0, 2), slice(0, 3, 2), slice(1, 1)):
            if not isinstance(value, type(iter([]))):
                both(set_item, type_, key, value)


def make_array(module, type_, content):
    made = module.Array(type_, content)
    return list(made), made[:], len(made), made.get_obj()[:], ctypes.sizeof(made.get_obj())


@pytest.mark.parametrize("type_", TYPES)
def test_initialisers(type_):
    for content in (0, 1, 3, -1, True, 2**70, 1.5, None, "", "ab", b"", b"ab", [], [1, 2], (1, "x"), range(4), {1: 2},
                    array.array("h", [1, -2]), Index()):
        both(make_array, type_, content)
    both(lambda module: module.Array(type_, (n for n in (1, 2))).value)


@pytest.mark.parametrize("type_", ["x", "", None, 5, int, object(), ["i"]])
def test_no_type(type_):
    with pytest.raises(TypeError, match=r"bad typecode|unhashable type"):
        cmp.Value(type_)
    with pytest.raises(TypeError):
        cmp.Array(type_, 3)
    if sys.version_info >= (3, 15):  # whose messages they are
        both(lambda module: module.Value(type_))
        both(lambda module: module.Array(type_, 3))


def test_arguments():
    for args in ((), ("i", 1, 2), ("i", 1, 2, 3)):
        both(lambda module: module.Value(*args).value)  # noqa: B023 (called at once)
        both(lambda module: module.RawValue(*args).value)  # noqa: B023
    for kwargs in ({"lock": 0}, {"lock": 1}, {"lock": 5}, {"lock": "lock"}, {"lock": None}, {"locks": 1}):
        assert both(lambda module: module.Value("i", **kwargs).value)  # noqa: B023
        assert both(lambda module: module.Array("i", 2, **kwargs)[:])  # noqa: B023
    both(lambda module: module.Array("i", 2, True))


def use_string(module, content):
    made = module.Array("c", b"hello")
    return (outcome(setattr, made, "value", content), made.value, made.raw, outcome(setattr, made, "raw", content),
            made.raw, made.value, made[:], made[1], list(made), len(made))


def test_strings():
    for content in (b"", b"abc", b"hello", b"longer than that", b"a\0b", "text", 5, None, bytearray(b"abc"),
                    bytearray(b"HELLO"), memoryview(b"HELLO"), [1, 2]):
        both(use_string, content)
    made = cmp.Array(ctypes.c_char, 10)
    assert type(made) is cmp.sharedctypes.SynchronizedString and made.raw == bytes(10)


def test_what_cannot_be_deleted():
    for module in (multiprocessing, cmp):
        value, numbers, text = module.Value("i"), module.Array("i", 2), module.Array("c", 2)
        for delete in (lambda: delattr(value, "value"), lambda: delattr(text, "raw")):  # noqa: B023
            raises(AttributeError, delete)
        for delete in (lambda: numbers.__delitem__(0), lambda: text.__delitem__(0)):  # noqa: B023
            raises((AttributeError, TypeError), delete)
        assert value.get_lock().acquire(False) and numbers.get_lock().acquire(False)


def test_repr_and_bool():
    for make in (lambda m: m.Value("i", 5), lambda m: m.Value(Point, 1, 2.5), lambda m: m.Array("i", 0)):
        assert both(lambda m: repr(make(m)))  # noqa: B023
        both(lambda m: bool(make(m)))  # noqa: B023
    both(lambda m: 3.0 in m.Array("d", [1, 2, 3]))
    both(lambda m: list(reversed(m.Array("d", [1, 2, 3]))))


def test_attributes_of_ones_own_and_subclasses():
    class Counter(cmp.sharedctypes.Synchronized):
        def increment(self):
            with self:
                self.value += 1

    counter = Counter(cmp.RawValue("i", 5))
    counter.note = "mine"
    counter.increment()
    assert counter.value == 6 and counter.__dict__ == {"note": "mine"} and weakref.ref(counter)() is counter
    assert counter.acquire() and counter.release() is None
    assert counter._obj is counter.get_obj() and counter._lock is counter.get_lock()


@pytest.mark.parametrize("name", ["SynchronizedBase", "Synchronized", "SynchronizedArray", "SynchronizedString"])
def test_before_init(name):
    class_ = getattr(cmp.sharedctypes, name)
    made = class_.__new__(class_)
    for use in (made.get_obj, made.get_lock, made.__enter__, made.__exit__, lambda: made.acquire,
                lambda: made.release, lambda: made.value, lambda: made[0], lambda: len(made), lambda: made.raw,
                lambda: type(made).value.__set__(made, 1), lambda: made.__setitem__(0, 1), lambda: pickle.dumps(made)):
        raises((RuntimeError, AttributeError, TypeError), use)
    raises(AttributeError, made.__init__, cmp.RawValue("i"), 5)
    made.__init__(cmp.RawValue("i"))
    raises(RuntimeError, made.__init__, cmp.RawValue("i"))


def test_initialised_in_the_middle_of_init():
    """What runs Python code there must not mix two objects in one."""
    made = cmp.sharedctypes.Synchronized.__new__(cmp.sharedctypes.Synchronized)

    class Lock(CountingLock):
        def __getattribute__(self, name):
            if name == "acquire" and not hasattr(made, "_obj"):
                made.__init__(cmp.RawValue("i", 5))
            return super().__getattribute__(name)

    before = sys.getrefcount(lock := Lock())
    raises(RuntimeError, made.__init__, cmp.RawValue("d", 7), lock)
    assert made.value == 5 and type(made.get_lock()) is cmp.synchronize.RLock
    assert sys.getrefcount(lock) == before


# Locks

class CountingLock:
    def __init__(self):
        self.held, self.turns = False, 0

    def acquire(self):
        assert not self.held
        self.held = True
        self.turns += 1
        return True

    def release(self):
        assert self.held
        self.held = False


def test_every_access_takes_the_lock_and_gives_it_back():
    lock = CountingLock()
    value, text = cmp.Value("d", lock=lock), cmp.Array("c", 3, lock=lock)
    point, numbers = cmp.Value(Point, lock=lock), cmp.Array("i", 3, lock=lock)
    assert lock.turns == 0
    accesses = [lambda: value.value, lambda: setattr(value, "value", 1.5), lambda: text.value, lambda: text.raw,
                lambda: text[0], lambda: setattr(text, "raw", b"abc"), lambda: point.x, lambda: setattr(point, "y", 1),
                lambda: numbers[0], lambda: numbers[:], lambda: numbers.__setitem__(0, 1),
                lambda: numbers.__setitem__(slice(0, 2), [1, 2])]
    failing = [lambda: setattr(value, "value", "x"), lambda: setattr(text, "raw", 5), lambda: numbers[99],
               lambda: setattr(point, "x", "x"), lambda: numbers.__setitem__(0, "x"), lambda: numbers["x"],
               lambda: numbers.__setitem__(slice(0, 2), [1]), lambda: numbers[::0]]
    for access in accesses:
        access()
    for access in failing:
        raises((TypeError, ValueError, IndexError), access)
    assert lock.turns == len(accesses) + len(failing) and not lock.held


class BrokenLock(CountingLock):
    def __init__(self, where):
        super().__init__()
        self.where = where

    def acquire(self):
        if self.where == "acquire":
            raise KeyError("acquire")

    def release(self):
        if self.where == "release":
            raise KeyError("release")


@pytest.mark.parametrize("where", ["acquire", "release"])
def test_a_lock_that_raises(where):
    value, numbers = cmp.Value("i", 5, lock=BrokenLock(where)), cmp.Array("i", 3, lock=BrokenLock(where))
    for access in (lambda: value.value, lambda: setattr(value, "value", 6), lambda: numbers[0],
                   lambda: numbers.__setitem__(0, 1)):
        raises(KeyError, access)
    assert value.get_obj().value == (5 if where == "acquire" else 6)


@pytest.mark.parametrize("make", [cmp.Lock, cmp.RLock, cmp.Semaphore, cmp.Condition, threading.Lock, threading.RLock,
                                  multiprocessing.Lock, multiprocessing.RLock, CountingLock])
def test_any_lock(make):
    lock = make()
    value, numbers = cmp.Value("i", 5, lock=lock), cmp.Array("i", [1, 2], lock=lock)
    assert value.get_lock() is lock and numbers.get_lock() is lock
    value.value += 1
    numbers[1] += 5
    assert (value.value, numbers[:]) == (6, [1, 7])
    assert lock.acquire() in (True, None)
    lock.release()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_access_waits_for_the_lock(kind):
    lock = getattr(cmp, kind)()
    value, numbers, text = cmp.Value("i", 1, lock=lock), cmp.Array("i", 3, lock=lock), cmp.Array("c", 3, lock=lock)
    for access in (lambda: value.value, lambda: setattr(value, "value", 2), lambda: numbers[0], lambda: text.raw,
                   lambda: numbers.__setitem__(0, 1)):
        with lock:
            thread = threading.Thread(target=access)
            thread.start()
            thread.join(0.05)
            assert thread.is_alive()
        thread.join(20)
        assert not thread.is_alive()


def test_lock_false_is_bare_and_the_default_is_ones_own_rlock():
    assert type(cmp.Value("i", lock=False)) is ctypes.c_int
    assert type(cmp.Array("i", 3, lock=False)) is ctypes.c_int * 3
    value = cmp.Value("i")
    assert type(value.get_lock()) is cmp.synchronize.RLock
    with value, value.get_lock():
        value.value += 1
    assert not value.get_lock().locked()


def test_taken_over_from_a_dead_process():
    value = cmp.Value("i", 5)
    process = cmp.get_context("fork").Process(target=lambda: (value.acquire(), os._exit(0)))
    process.start()
    process.join()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert value.value == 5
    assert [warning.category for warning in caught] == [cmp.OwnerDiedWarning]
    assert not value.get_lock().locked()


# ctypes objects

def test_structures_and_arrays_of_them():
    point = cmp.Value(Point, 1, 2.5)
    point.x += 4
    assert (point.x, point.y, point.get_obj().x) == (5, 2.5, 5)
    assert type(point) is type(cmp.Value(Point)) is cmp.sharedctypes.class_cache[Point]
    assert isinstance(point, multiprocessing.sharedctypes.SynchronizedBase)
    assert type(point).__name__ == "SynchronizedPoint"
    points = cmp.Array(Point, [(1, 2), (3, 4)])
    points[0].x = 7
    points[1] = Point(8, 9)
    assert [(p.x, p.y) for p in points] == [(7, 2), (8, 9)]
    table = cmp.Array(ctypes.c_int * 3, 2)
    table[1][2] = 5
    assert [row[:] for row in table] == [[0, 0, 0], [0, 0, 5]]


def test_copy_and_synchronized():
    for obj in (ctypes.c_int(5), cmp.RawValue("i", 5), cmp.Value("i", 5).get_obj()):
        same = cmp.sharedctypes.copy(obj)
        assert type(same) is ctypes.c_int and same.value == 5
        same.value = 6
        assert obj.value == 5
        value = cmp.sharedctypes.synchronized(obj)
        value.value += 1
        assert value.get_obj() is obj and obj.value == 6
    assert cmp.sharedctypes.copy((ctypes.c_double * 2)(1, 2))[:] == [1, 2]
    raises(TypeError, cmp.sharedctypes.copy, 5)
    raises(AssertionError, cmp.sharedctypes.synchronized, cmp.Value("i"))


def test_ctypes_may_move_its_own_memory():
    """Native code must not keep the address of what ctypes.resize() moves."""
    obj = ctypes.c_int(5)
    value = cmp.sharedctypes.synchronized(obj)
    ctypes.resize(obj, 1 << 20)
    value.value = 7
    assert obj.value == 7
    raises(ValueError, ctypes.resize, cmp.RawValue("i"), 1 << 20)


def test_views():
    numbers = cmp.Array("d", [1, 2, 3])
    view = memoryview(numbers.get_obj()).cast("B").cast("d")
    view[1] = 7
    assert numbers[:] == [1, 7, 3]
    assert ctypes.addressof(numbers.get_obj()) % 8 == 0
    del numbers
    gc.collect()
    others = [cmp.Array("d", 3) for _ in range(50)]
    assert view.tolist() == [1, 7, 3] and all(other[:] == [0, 0, 0] for other in others)


def test_numpy_views():
    np = pytest.importorskip("numpy")
    numbers = cmp.Array("d", 1000)
    view = np.frombuffer(numbers.get_obj())
    view += 2
    assert sum(numbers) == 2000 and view.dtype == float
    numbers[:] = np.arange(1000.0)
    assert view[999] == 999
    text = cmp.Array("c", 4)
    np.frombuffer(text.get_obj(), "u1")[:] = [97, 98, 0, 99]
    assert text.raw == b"ab\0c" and text.value == b"ab"
    assert np.ctypeslib.as_array(numbers.get_obj())[3] == 3
    assert pickle.loads(pickle.dumps(view))[999] == 999  # a copy, as ever


def test_fresh_memory_is_zero():
    for size in (1, 60, 5000, 300_000):
        for _ in range(20):
            made = cmp.RawArray("B", size)
            assert bytes(made).count(0) == size
            ctypes.memset(made, 255, size)
            del made


@pytest.mark.parametrize("size", [2**48, 2**58])
def test_what_cannot_be_had_is_a_memory_error_that_names_the_size(size):
    for make in (lambda: cmp.Array("d", size), lambda: cmp.RawArray("d", size),
                 lambda: cmp.RawValue(ctypes.c_double * size)):
        with pytest.raises(MemoryError, match=str(8 * size)):
            make()
    assert cmp.check() == []


# Travelling

def add(value, numbers, text, point, table, raw, raws):
    for _ in range(1000):
        with value.get_lock():
            value.value += 1
    with numbers:
        numbers[1] += 1
        numbers[2:] = [8, 9]
    text.value = b"seen"
    with point:
        point.x += 1
    table[1][1] = 5
    with raws[1].get_lock() if hasattr(raws[1], "get_lock") else contextlib.nullcontext():
        raw.value = 7
        raws[1] = 8
    return os.getpid()


def one_of_each(module):
    return (module.Value("q"), module.Array("d", [1, 2, 3, 4]), module.Array("c", 10), module.Value(Point),
            module.Array(ctypes.c_int * 2, 2, lock=cmp.Lock()), module.RawValue("i"), module.RawArray("h", 3))


def look(value, numbers, text, point, table, raw, raws):
    return (value.value, numbers[:], text.value, point.x, [row[:] for row in table], raw.value, raws[:])


def expected(turns):
    return (1000 * turns, [1, 2 + turns, 8, 9], b"seen", turns, [[0, 0], [0, 5]], 7, [0, 8, 0])


def test_as_arguments(ctx):
    made = one_of_each(ctx)
    processes = [ctx.Process(target=add, args=made) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert look(*made) == expected(3)


def add_from_queue(queue, answers):
    made = queue.get()
    add(*made)
    answers.put(made)


def test_through_queues(ctx):
    made = one_of_each(ctx)
    queue, answers = ctx.Queue(), ctx.Queue()
    with running(ctx, add_from_queue, queue, answers) as process:
        queue.put(made)
        same = answers.get(timeout=60)
        process.join()
    add(*same)
    assert look(*made) == look(*same) == expected(2)
    for used in (queue, answers):
        used.close()
        used.join_thread()


def add_and_return(made):
    add(*made)
    return made


def test_through_pools(ctx):
    made = one_of_each(ctx)
    with ctx.Pool(2) as pool:
        same = pool.apply_async(add_and_return, (made,)).get(60)
        add(*same)
        assert pool.apply_async(add_and_return, (same,)).get(60)[0].value == 3000
        pool.close()
        pool.join()
    assert look(*made) == expected(3)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_by_hand(protocol):
    made = one_of_each(cmp)
    guarded = made[:5]
    for same in (pickle.loads(pickle.dumps(guarded, protocol)), pickle.loads(ForkingPickler.dumps(guarded, protocol))):
        add(*same, *made[5:])
    raws = pickle.loads(ForkingPickler.dumps(made[5:], protocol))
    add(*guarded, *raws)
    assert look(*made) == expected(3)


def test_a_wrapper_and_its_object_in_one_pickle():
    value = cmp.Value("i", 5)
    same, obj, lock = pickle.loads(ForkingPickler.dumps((value, value.get_obj(), value.get_lock())))
    obj.value = 6
    assert value.value == same.value == 6
    with lock:
        assert value.get_lock().locked() and same.get_lock().locked()


def get(obj):
    return obj.value


def test_ctypes_objects_of_ones_own_travel_as_copies():
    """Also once an object of that type was made in shared memory; multiprocessing then raises."""
    shared, own = cmp.RawValue("i", 5), ctypes.c_int(6)
    copy = pickle.loads(ForkingPickler.dumps(own))
    copy.value = 7
    assert own.value == 6 and shared.value == 5
    value = pickle.loads(ForkingPickler.dumps(cmp.sharedctypes.synchronized(own)))
    assert value.value == 6


def set_to(value, raw, number):
    value.value = raw.value = number


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_beside_multiprocessings_own(method):
    genuine, ours = multiprocessing.get_context(method), cmp.get_context(method)
    pairs = [(module.Value("i"), module.RawValue("i")) for module in (ours, genuine, ours, genuine)]
    for pair, ctx in zip(pairs, (ours, genuine, ours, genuine), strict=True):
        process = ctx.Process(target=set_to, args=(*pair, 7))
        process.start()
        process.join()
        assert (process.exitcode, pair[0].value, pair[1].value) == (0, 7, 7)


# Memory

def test_references_are_not_leaked():
    value, numbers, text, point, *_ = one_of_each(cmp)
    other = cmp.Value("i", lock=CountingLock())

    def turn():
        for made in one_of_each(cmp):
            pickle.loads(ForkingPickler.dumps(made))
        value.value += 1
        other.value = other.value + 70_000
        other.acquire(), other.release()
        numbers[0], numbers[:], numbers[::-1], numbers[0:2]
        numbers[0], numbers[1:3], numbers[::2] = 70_000.5, [1.5, 2], array.array("d", [1, 2])
        text[0], text[:], text.raw, text.value
        text.raw, text[:], text[0:2] = b"a" * 10, b"b" * 10, [1, 2]
        point.x += 70_000
        with value, numbers, text:
            len(numbers), repr(point), value.get_obj(), value.get_lock()
        for wrong in (lambda: setattr(value, "value", "x"), lambda: numbers[99], lambda: numbers["x"],
                      lambda: numbers.__setitem__(0, "x"), lambda: numbers.__setitem__(slice(0, 2), ["x"]),
                      lambda: numbers.__setitem__(slice(0, 2), [7.5, "x"]), lambda: setattr(text, "raw", 5),
                      lambda: cmp.Value("i", lock=5), lambda: cmp.Value("i", "x"), lambda: cmp.Array("d", 2**58),
                      lambda: delattr(value, "value"), lambda: numbers[::0], value.__init__):
            with pytest.raises((TypeError, IndexError, ValueError, AttributeError, MemoryError, RuntimeError)):
                wrong()
        cycle = cmp.Value("i")
        cycle.itself = cycle

    assert min(growth(turn) for _ in range(5)) < 50  # one for each turn would be 100


def references():
    gc.collect()
    return sys.getallocatedblocks(), sys.getrefcount(True), sys.getrefcount(None)


def growth(function):
    before = references()
    for _ in range(100):
        function()
    return max(map(operator.sub, references(), before))


def test_cycles_are_collected():
    value = cmp.Value("i")
    value.itself = value
    ref = weakref.ref(value)
    del value
    gc.collect()
    assert ref() is None


def scribble(seed, queue, others):
    """Make, pass, check and drop for ever, until killed."""
    choose = random.Random(seed)
    kept = collections.deque(maxlen=20)
    while True:
        mark, size = choose.randrange(1, 1 << 30), choose.choice((1, 10, 1000, 50_000))
        made = cmp.Array("i", [mark] * size)
        kept.append((mark, made))
        for mark, made in kept:
            assert made[0] == made[-1] == mark, (made[0], made[-1], mark)
        if choose.random() < 0.3:
            queue.put((mark, made))
        if choose.random() < 0.3 and not others.empty():
            with contextlib.suppress(RuntimeError):  # its maker was killed before we held it
                mark, made = others.get()
                assert set(made) == {mark}


@pytest.mark.limit(120)
def test_children_killed_at_random(ctx):
    """Nobody's memory is given to another while it is in use, and all of it comes back."""
    choose = random.Random(7)
    mine = [(mark, cmp.Array("i", [mark] * 300)) for mark in range(20)]
    for _ in range(4):
        queues = [ctx.SimpleQueue(), ctx.SimpleQueue()]
        processes = [ctx.Process(target=scribble, args=(choose.random(), *queues)),
                     ctx.Process(target=scribble, args=(choose.random(), *reversed(queues)))]
        for process in processes:
            process.start()
        time.sleep(choose.uniform(0.2, 0.6))
        assert all(process.is_alive() for process in processes)
        for process in processes:
            process.kill()
            process.join()
        mine.append((77, cmp.Array("i", [77] * 5000)))
        assert all(set(made) == {mark} for mark, made in mine)
        assert cmp.check() == []


# heap

def test_heap():
    wrapper = cmp.heap.BufferWrapper(100)
    view = wrapper.create_memoryview()
    assert isinstance(wrapper, multiprocessing.heap.BufferWrapper) and view.nbytes == 100 and bytes(view) == bytes(100)
    view[99] = 7
    same = pickle.loads(ForkingPickler.dumps(wrapper))
    assert same.create_memoryview()[99] == 7
    assert cmp.heap.BufferWrapper(0).create_memoryview().nbytes == 0
    for size, error in ((-1, ValueError), (sys.maxsize, OverflowError), ("x", TypeError), (2**60, MemoryError)):
        raises(error, cmp.heap.BufferWrapper, size)
    heap = cmp.heap.Heap()
    arena, start, stop = block = heap.malloc(1000)
    arena.buffer, memoryview(arena.buffer)[start:stop][999] = arena.buffer, 5
    assert stop - start >= 1000 and isinstance(arena, multiprocessing.heap.Arena)
    assert memoryview(pickle.loads(ForkingPickler.dumps(arena)).buffer)[999] == 5
    heap.free(block)
    raises(ValueError, cmp.heap.Arena, 100, fd=0)


def fill(wrapper):
    wrapper.create_memoryview()[:] = b"\7" * 100


def test_a_wrapper_as_an_argument(ctx):
    wrapper = cmp.heap.BufferWrapper(100)
    process = ctx.Process(target=fill, args=(wrapper,))
    process.start()
    process.join()
    assert bytes(wrapper.create_memoryview()) == b"\7" * 100


def test_without_multiprocessings_own_memory(monkeypatch):
    def used(*args):
        raise AssertionError("the standard library's is in use")

    for owner, names in ((multiprocessing.heap.Arena, ["__init__"]), (multiprocessing.heap.Heap, ["malloc", "free"]),
                         (multiprocessing.sharedctypes, ["rebuild_ctype", "reduce_ctype", "_new_value"])):
        for name in names:
            monkeypatch.setattr(owner, name, used)
    made = one_of_each(cmp)
    add(*pickle.loads(ForkingPickler.dumps(made)))
    assert look(*made) == expected(1)


FEW = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import cmp
made = [(cmp.Value("i", number), cmp.Array("d", [number] * 100)) for number in range(1000)]
made += [(cmp.Value("i", 2000), cmp.Array("d", [2000] * 1_000_000))]
assert all(value.value == numbers[99] for value, numbers in made)
assert not [name for name in os.listdir("/dev/shm") if name.startswith("pym-")]
print(len(os.listdir("/proc/self/fd")) < 10)
"""


def test_with_64_descriptors_and_nothing_in_dev_shm(tmp_path):
    assert run_program(tmp_path, FEW) == ["True"]


STRANGER = """
import pickle, sys
import cmp
cmp.Lock()
for data in pickle.load(open(sys.argv[1], "rb")):
    try:
        pickle.loads(data)
    except RuntimeError as error:
        print(error)
"""


def test_in_another_family_they_raise(tmp_path):
    made = one_of_each(cmp)
    (tmp_path / "data").write_bytes(pickle.dumps([bytes(ForkingPickler.dumps(one)) for one in (made[0], made[-1])]))
    said = run_program(tmp_path, STRANGER, tmp_path / "data")
    assert len(said) == 2 and all("another family" in line for line in said)


def test_no_descriptor_is_opened():
    before = set(os.listdir("/proc/self/fd"))
    made = [one_of_each(cmp) for _ in range(100)]
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # the family's own, if these were its first objects
    assert made
