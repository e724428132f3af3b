"""The codec: what arrives is what pickle would have brought, contents, order and identity alike."""
import array
import collections
import contextlib
import copyreg
import ctypes
import datetime
import multiprocessing.reduction
import pickle
import random
import sys
import threading
from multiprocessing.reduction import ForkingPickler

import pytest
from graphs import (
    DEPTH,
    FOREIGN,
    LARGE,
    PLAIN,
    Grower,
    MyList,
    Point,
    Seven,
    Thing,
    Unloadable,
    assert_same,
    circles,
    is_pickled,
    nest,
    through_pickle,
    walk,
)  # fmt: skip

from cmp._cmp import decode, encode, recode

Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize("obj", PLAIN, ids=lambda obj: f"{type(obj).__name__} {repr(obj)[:20]!r}")
def test_plain_objects_need_no_pickle(obj):
    assert not is_pickled(obj) and not is_pickled([obj])
    for one in (obj, [obj], (obj, obj), {"key": obj}, {1: (obj, [obj])}):
        assert_same(recode(one), through_pickle(one))
        assert_same(decode(*encode(one)), through_pickle(one))


def test_a_nan_keeps_its_bits():
    for bits in (0x7FF8000000000000, 0xFFF8000000000001, 0x7FF800000000BEEF):
        nan = ctypes.c_double.from_buffer(ctypes.c_uint64(bits)).value
        assert ctypes.c_uint64.from_buffer(ctypes.c_double(recode([nan])[0])).value == bits


class Text(str):
    __slots__ = ("mark",)


class Key(str):
    """Equal to a str, but not one."""


class Table(dict):
    pass


OTHER = [
    Seven(7), Text("text"), MyList([1, 2]), Table(a=1), collections.OrderedDict(b=1, a=2), collections.Counter("abca"),
    collections.deque([1, 2], 5), collections.defaultdict(list, a=[1]), Pair(1, 2), Point([1], {2}),
    datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), range(5), slice(1, 2), Ellipsis,
    NotImplemented, type, int, len, print, Thing, ValueError("no"), array.array("d", [1, 2]), contextlib.suppress,
    {Key("a"): 1}, [1, Seven(2)],
]  # fmt: skip


@pytest.mark.parametrize("obj", OTHER, ids=repr)
def test_whatever_else_is_pickled_as_a_whole(obj):
    assert is_pickled(obj) and is_pickled([1, obj])
    for one in (obj, [obj, obj], {"key": [obj]}):
        got, expected = recode(one), through_pickle(one)
        assert type(got) is type(expected) and repr(got) == repr(expected)
    assert len({id(one) for one in recode([obj] * 3)}) == 1


# ---- the property ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("part", range(4))
def test_random_graphs_come_out_as_with_pickle(part, odd):
    pickled = 0
    for seed in range(part * 250, (part + 1) * 250):
        graph = Grower(seed, odd).grow(random.Random(seed).choice((1, 3, 6)))
        pickled += is_pickled(graph)
        try:
            assert_same(recode(graph), through_pickle(graph))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, odd={odd}") from error
    assert (pickled > 10) == odd and pickled < 240


def test_the_walk_sees_what_it_is_to_see():
    """Else the property proves nothing."""
    one = [1]
    for a, b in [([one, one], [[1], [1]]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ((0.0,), (-0.0,)), ([1], [True]),
                 ([1], (1,)), (["long text", "long text"], ["long text", "".join(["long", " text"])]),
                 (b"a", bytearray(b"a"))]:
        assert walk(a) != walk(b)
        assert walk(a) == walk(a)


# ---- shared references, circles, depth ----------------------------------------------------------------------------

def test_shared_references_stay_shared():
    one, text, data = [], "some text", b"some bytes"
    far = [one, text, data, [object] * 0]
    got = recode([one, far, text, data, {"text": text, "one": one}, (one, data)])
    assert len({id(got[0]), id(got[1][0]), id(got[4]["one"]), id(got[5][0])}) == 1
    assert len({id(got[2]), id(got[1][1]), id(got[4]["text"])}) == 1
    assert len({id(got[3]), id(got[1][2]), id(got[5][1])}) == 1
    assert not is_pickled([one, far])


@pytest.mark.parametrize("n", [1, 7, 8, 9, 63, 64, 65, 1000, 50000])
def test_many_shared_references(n):
    ones = [[i] for i in range(n)]
    names = [f"name {i}" for i in range(n)]
    graph = [ones, names, ones[::-1], dict(zip(names, ones, strict=True)), names[::3]]
    got = recode(graph)
    assert_same(got, graph)
    assert not is_pickled(graph)


def test_equal_bytes_are_one_only_where_pickle_has_one():
    ones = [through_pickle(b"x") for _ in range(2)] + [through_pickle("x") for _ in range(2)] + [b"", b"", "", ()]
    assert_same(recode(ones), through_pickle(ones))


def test_dicts_of_instances_share_their_keys():
    """One table of keys for all of them, whose references count once."""
    ones = [Thing() for _ in range(3)]
    for one in ones:
        setattr(one, "".join(["na", "me"]), [1])
        vars(one)["".join(["another ", "name"])] = 2
    graph = [vars(one) for one in ones]
    assert_same(recode(graph), through_pickle(graph))
    assert not is_pickled(graph)


def test_rows_with_the_same_keys_need_no_pickle():
    rows = [{"id": i, "name": f"row {i}", "tags": ("a", "b")} for i in range(1000)]
    assert not is_pickled(rows)
    assert len(encode(rows)[0]) < 60000
    assert_same(recode(rows), through_pickle(rows))


def test_large_ones_are_copied_once_however_often_they_come():
    data, text, both = bytes(LARGE), "x" * LARGE, bytearray(LARGE)
    head, blocks = encode([data, text, both, data, {"text": text}, both])
    assert len(blocks) == 3 and len(head) < 100
    got = decode(head, blocks)
    assert got[0] is got[3] and got[1] is got[4]["text"] and got[2] is got[5]


@pytest.mark.parametrize("number", range(len(circles())))
def test_circles(number):
    graph = circles()[number]
    assert is_pickled(graph)
    assert_same(recode(graph), through_pickle(graph))


def test_a_circle_of_which_nobody_else_knows():
    def circle():
        one = []
        one.append(one)
        return one
    got = recode(circle())
    assert got[0] is got


@pytest.mark.parametrize("around", [lambda one: [one], lambda one: (one,), lambda one: {1: one},
                                    lambda one: frozenset([one])])
def test_depth(around):
    for depth, pickled in ((DEPTH - 1, False), (DEPTH, False), (DEPTH + 1, True)):
        graph = nest(depth, around)
        assert is_pickled(graph) is pickled
        assert_same(recode(graph), graph)


def test_too_deep_for_pickle_is_too_deep():
    with pytest.raises(RecursionError):
        recode(nest(200000))


def test_wide_and_deep_at_once():
    graph = [nest(DEPTH - 1) for _ in range(50)] + [nest(DEPTH - 1, lambda one: (one, 2))] * 2
    assert not is_pickled(graph)
    assert_same(recode(graph), through_pickle(graph))


# ---- reducers ------------------------------------------------------------------------------------------------------

class Registered:
    def __init__(self, value):
        self.value = value


@pytest.fixture
def registered():
    """Whatever a test registers is forgotten afterwards."""
    extra, table = dict(ForkingPickler._extra_reducers), dict(copyreg.dispatch_table)
    yield
    for mine, before in ((ForkingPickler._extra_reducers, extra), (copyreg.dispatch_table, table)):
        mine.clear()
        mine.update(before)


def test_reducers_are_respected(registered):
    copyreg.pickle(Registered, lambda one: (Registered, (one.value + 1,)))
    assert recode(Registered(1)).value == 2
    ForkingPickler.register(Registered, lambda one: (Registered, (one.value + 10,)))
    assert recode([Registered(1)])[0].value == 11


@pytest.mark.parametrize("register", [copyreg.pickle, ForkingPickler.register])
def test_a_reducer_of_complex_numbers_is_respected(registered, register):
    """The only one of the codec's own types of which pickle asks who has registered what."""
    assert not is_pickled(1j)
    register(complex, lambda number: (complex, (number.imag, number.real)))
    assert is_pickled(1j) and recode([1 + 2j]) == [2 + 1j]


def test_reducers_of_the_other_types_are_not_asked_for(registered):
    """As with pickle in C."""
    for kind in (int, str, bytes, bytearray, tuple, list, dict, set, frozenset, float, bool, type(None)):
        ForkingPickler.register(kind, lambda one: (Registered, (one,)))
    graph = [1, "a", b"b", bytearray(b"c"), (1, 2), {3: 4}, {5}, frozenset([6]), 7.0, True, None]
    assert_same(recode(graph), graph)
    assert_same(ForkingPickler.loads(ForkingPickler.dumps(graph)), graph)


class Reduced:
    def __reduce_ex__(self, protocol):
        return (tuple, ([f"protocol {protocol}"],))


def test_reduce_ex_is_asked_for_protocol_5():
    assert recode(Reduced()) == ("protocol 5",)


def test_what_cannot_be_pickled_raises_as_pickle_does():
    for obj in (lambda: 1, threading.Lock(), [1, (x for x in ())], {"a": sys._getframe()}):
        with pytest.raises((pickle.PicklingError, TypeError, AttributeError)) as expected:
            ForkingPickler.dumps(obj)
        with pytest.raises(type(expected.value)) as got:
            encode(obj)
        assert str(got.value) == str(expected.value)


def test_what_cannot_be_unpickled_raises_what_it_raises():
    message = encode([Unloadable()])
    with pytest.raises(ValueError, match="not a number"):
        decode(*message)


# ---- replaced dumps and loads --------------------------------------------------------------------------------------

def test_dumps_and_loads_may_be_replaced():
    def dumps(obj):
        return repr(obj).encode()
    for obj in (1, [1, "two"], "x" * 100000):
        head, blocks = encode(obj, dumps)
        assert head[0] == FOREIGN and len(blocks) == (len(repr(obj)) >= LARGE)
        assert decode(head, blocks, loads=eval) == obj
    assert decode(*encode([1], dumps=pickle.dumps)) == [1]  # what pickle can load needs no loads
    assert decode(*encode([1]), loads=eval) == [1]  # who has none wrote it
    assert decode(*encode(Point(1, 2)), loads=eval) == Point(1, 2)
    assert decode(*encode(b"abc", lambda obj: memoryview(obj)), lambda data: (type(data), data)) == (bytes, b"abc")
    with pytest.raises(ZeroDivisionError):
        encode(1, lambda obj: 1 / 0)
    with pytest.raises(TypeError):
        encode(1, lambda obj: "text")
    with pytest.raises(ZeroDivisionError):
        decode(*encode(1, pickle.dumps), loads=lambda data: 1 / 0)


LAMBDA = lambda: 1


class Fancy(ForkingPickler):
    def reducer_override(self, obj):
        return (str, (f"<{obj.__name__}>",)) if obj is len or obj is LAMBDA else NotImplemented


def test_a_replaced_forking_pickler_is_used(monkeypatch):
    monkeypatch.setattr(multiprocessing.reduction, "ForkingPickler", Fancy)
    assert recode([LAMBDA]) == ["<<lambda>>"]
    monkeypatch.setattr(Fancy, "loads", staticmethod(lambda data, **more: (type(data), pickle.loads(data, **more))))
    kind, got = recode([len, bytes(100000)])
    assert kind is bytes and got == ["<len>", bytes(100000)]


# ---- many threads ------------------------------------------------------------------------------------------

def test_containers_that_change_meanwhile():
    """Nobody crashes, and what arrives is whole."""
    shared = {"list": list(range(200)), "dict": {i: str(i) for i in range(200)}, "set": set(range(200))}
    stop = threading.Event()

    def change():
        rng = random.Random(1)
        while not stop.is_set():
            i = rng.randrange(200)
            shared["list"].append(i)
            del shared["list"][rng.randrange(3)]
            shared["dict"][i + 200] = [i]
            shared["dict"].pop(i + 199, None)
            shared["set"] ^= {i}
    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):
            try:
                got = recode(shared)
            except RuntimeError as error:
                assert "changed size during iteration" in str(error)
                continue
            assert list(got) == ["list", "dict", "set"] and all(type(i) is int for i in got["list"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_one_thread_each():
    errors = []

    def work(seed):
        try:
            for i in range(30):
                graph = Grower(seed * 1000 + i, True).grow(4)
                assert_same(recode(graph), through_pickle(graph))
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
