"""What a message costs apart from its way: an object is written and read again, by the codec or by pickle.

A module without a codec of its own has pickle's here, protocol 5, called directly: its pipes and queues call it through
ForkingPickler, which adds more than a microsecond. Buffers of 32 KiB and more go through a block of shared memory.
"""

import dataclasses
import importlib
import pickle
from itertools import repeat

from harness import expect, row

UNROLL = 5


@dataclasses.dataclass
class Point:
    x: int
    name: str


def people():
    return [{"id": i, "name": f"name {i}", "tags": ["a", "b"]} for i in range(100)]


SAMPLES = {
    "None": lambda: None,
    "int": lambda: 12345,
    "str": lambda: "hello world",
    "3-tuple": lambda: (1, "abc", 2.0),
    "small dict": lambda: {"id": 1, "name": "x", "values": [1, 2, 3]},
    "1 KiB bytes": lambda: bytes(range(256)) * 4,
    "1000 ints": lambda: list(range(1000)),
    "100 dicts": people,
    "a dataclass": lambda: Point(1, "x"),
    "1 MiB bytes": lambda: bytes(range(256)) * 4096,
    "1 MiB array": lambda: importlib.import_module("numpy").arange(1 << 17),
}


def by_pickle(obj, dumps=pickle.dumps, loads=pickle.loads):
    def loop(n):
        for _ in repeat(None, n):
            loads(dumps(obj, 5))
            loads(dumps(obj, 5))
            loads(dumps(obj, 5))
            loads(dumps(obj, 5))
            found = loads(dumps(obj, 5))
        return found

    return loop


def by_codec(obj, recode):
    def loop(n):
        for _ in repeat(None, n):
            recode(obj)
            recode(obj)
            recode(obj)
            recode(obj)
            found = recode(obj)
        return found

    return loop


def loop_of(mp, obj):
    try:
        return by_codec(obj, importlib.import_module(f"{mp.__name__}._cmp").recode)
    except (ImportError, AttributeError):
        return by_pickle(obj)


def equal(found, sample):
    return found.tobytes() == sample.tobytes() if hasattr(sample, "tobytes") else found == sample


def codec(what, make):
    unit = "us" if what[0] == "1" else "ns"

    @row(
        f"codec/{what}", unit, imports="numpy" if "array" in what else "", per=UNROLL,
        size=2 << 20 if "MiB" in what else 0, floor="memcpy.warm.1M" if "MiB" in what else "", quick=what == "3-tuple",
    )  # fmt: skip
    def there_and_back(mp, crew):
        sample = make()
        yield (
            loop_of(mp, sample),
            lambda n, found, told: expect(type(found) is type(sample) and equal(found, sample), "it comes back"),
        )


for what, make in SAMPLES.items():
    codec(what, make)
