"""Object graphs for the tests of the codec: fixed ones, random ones, and what can be told of one.

The classes stand here, so that spawn and forkserver find them under the same name.
"""
import collections
import dataclasses
import math
import pickle
import random
import sys

from cmp._cmp import encode

LARGE = 32 << 10  # from here on, what is contiguous goes into a block
DEPTH = 100  # deeper objects are pickled
PICKLE, FOREIGN = 19, 20  # tags of messages


def is_pickled(obj):
    return encode(obj)[0][0] & 0x1F == PICKLE


def through_pickle(obj):
    return pickle.loads(pickle.dumps(obj, 5))


@dataclasses.dataclass
class Holder:
    data: object


class Seven(int):
    pass


class Unloadable:
    def __reduce__(self):
        return (int, ("not a number",))


def walk(root):
    """What can be told of an object graph: for each reference, in order, the node it leads to; and each node."""
    number, nodes, todo = {}, [], [root]
    keep = []  # so that no number of a node is used again
    while todo:
        obj = todo.pop()
        if id(obj) in number:
            nodes.append(("again", number[id(obj)]))
            continue
        number[id(obj)] = len(number)
        keep.append(obj)
        kind = type(obj)
        if kind in (list, tuple, set, frozenset):
            nodes.append((kind, len(obj)))
            todo.extend(reversed(list(obj)))
        elif kind is dict or kind is collections.OrderedDict:
            nodes.append((kind, len(obj)))
            todo.extend(reversed([item for pair in obj.items() for item in pair]))
        elif isinstance(obj, (Thing, Point, MyList)):
            nodes.append((kind, len(vars(obj))))
            todo.append(vars(obj))
            todo.extend(list(obj) if isinstance(obj, list) else ())
        elif kind is float:
            nodes.append((kind, obj.hex(), math.copysign(1, obj)))
        elif kind is complex:
            nodes.append((kind, obj.real.hex(), obj.imag.hex()))
        else:
            nodes.append((kind, obj))
    return nodes


def assert_same(got, expected):
    assert walk(got) == walk(expected)


class Thing:
    """Of no type that the codec knows; it may be part of a circle."""

    __hash__ = None  # by address, the order in a set would differ from copy to copy


@dataclasses.dataclass
class Point:
    x: object
    y: object


class MyList(list):
    pass


def circles():
    a = []
    a.append(a)
    b = {}
    b["b"] = b
    c = ([],)
    c[0].append(c)
    d = [1, (2, {"three": []})]
    d[1][1]["three"].append(d)
    e = Thing()
    e.e = [e]
    f = [[]]
    f[0].append(f)
    g = [f, f[0], a, a]
    return [a, b, c, c[0], d, e, [e], f, g, (a, b)]


def nest(depth, around=lambda one: [one]):
    one = 1
    for _ in range(depth):
        one = around(one)
    return one


PLAIN = [
    None, True, False, 0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, -32769, 2**31 - 1, 2**31, -2**31,
    -2**31 - 1, 2**32, 2**63 - 1, 2**63, -2**63, -2**63 - 1, 2**64, 2**64 - 1, 10**30, -10**30, 2**1000, -2**1000,
    2**8191, -2**4095,
    0.0, -0.0, 1.5, math.pi, math.inf, -math.inf, 5e-324, sys.float_info.max, 0j, 1 - 2j, complex(-0.0, math.inf),
    "", "a", "abc", "\0", "é", "ÿĀ", "€uro", "中文", "\U0001f600", "\ud800", "\udc00\ud800", "a\udfffz", "x" * 255,
    "x" * 256, "é" * 300, "y" * 70000, "ж" * 40000,
    b"", b"a", b"\0\xff", bytes(range(256)), b"b" * 255, b"b" * 256, b"b" * (LARGE - 1), b"b" * LARGE,
    b"b" * (LARGE + 1), bytearray(), bytearray(b"a"), bytearray(b"c" * 300), bytearray(b"c" * LARGE),
    bytearray(b"c" * 300000),
    (), (1,), (1, "abc", 2.0), ((), ((),)), tuple(range(300)), [], [[]], [1, [2, [3]]], list(range(1000)),
    {}, {"a": 1, "b": [2]}, {1: {2: {3: {}}}}, {None: 1, True: 2, (1, 2): 3, 1.5: 4, b"x": 5, frozenset((1, 2)): 6},
    set(), {1, 2, 3}, {"a", ("b", 1), None}, frozenset(), frozenset((1, 2)), frozenset((frozenset((1,)), ())),
    dict.fromkeys(reversed(range(300))), set(range(0, 5000, 7)), frozenset(str(i) for i in range(500)),
]  # fmt: skip


class Grower:
    """Random object graphs, with shared references; and circles and other types, if wanted."""

    def __init__(self, seed, odd):
        self.random = random.Random(seed)
        self.odd = odd
        self.made = [[], {}, (), "shared", b"shared", 1.25, 10**20]  # whatever may come again
        self.budget = self.random.choice((5, 30, 200, 1000))

    def atom(self):
        choice = self.random.choice
        return choice((
            lambda: None, lambda: True, lambda: self.random.randint(-300, 300), lambda: self.random.getrandbits(200),
            lambda: -self.random.getrandbits(70), lambda: self.random.random(), lambda: "".join(
                choice("ab é€\ud800\U0001f600") for _ in range(self.random.randint(0, 6))),
            lambda: self.random.randbytes(self.random.randint(0, 5)),
            lambda: bytearray(self.random.randbytes(self.random.randint(0, 5))),
            lambda: complex(self.random.randint(0, 3), 1), lambda: "x" * self.random.choice((255, 256, LARGE)),
            lambda: bytes(LARGE + self.random.randint(-2, 2)), lambda: bytearray(LARGE + self.random.randint(-2, 2)),
        ))()  # fmt: skip

    def hashable(self):
        for _ in range(5):
            one = self.grow(2)
            try:
                hash(one)
            except TypeError:
                continue
            return one
        return self.random.random()

    def container(self, depth):
        many = [None] * self.random.choice((0, 1, 2, 3, 7, 30))
        return self.random.choice((
            *[lambda: [self.grow(depth) for _ in many]] * 2, *[lambda: tuple(self.grow(depth) for _ in many)] * 2,
            *[lambda: {self.hashable(): self.grow(depth) for _ in many}] * 2,
            lambda: {self.hashable() for _ in many}, lambda: frozenset(self.hashable() for _ in many),
        ))()  # fmt: skip

    def strange(self, depth):
        return self.random.choice((
            lambda: Point(self.grow(depth), self.grow(depth)), lambda: MyList([self.grow(depth)]),
            lambda: collections.OrderedDict(a=self.grow(depth)), lambda: Seven(3), self.circle,
        ))()  # fmt: skip

    def circle(self):
        """A container that is its own member, directly or not."""
        inner = self.random.choice(([], {}, Thing()))
        outer = self.random.choice((lambda: inner, lambda: [inner], lambda: (inner, 1), lambda: {"in": inner},
                                    lambda: (1, (inner,))))()
        if isinstance(inner, list):
            inner.append(outer)
        elif isinstance(inner, dict):
            inner["out"] = outer
        else:
            inner.out = outer
        return self.random.choice((inner, outer))

    def grow(self, depth):
        self.budget -= 1
        if self.made and self.random.random() < 0.25:
            return self.random.choice(self.made)
        if depth == 0 or self.budget < 0 or self.random.random() < 0.4:
            one = self.atom()
        elif self.odd and self.random.random() < 0.1:
            one = self.strange(depth - 1)
        else:
            one = self.container(depth - 1)
        if self.random.random() < 0.5:
            self.made.append(one)
        return one
