"""The codec and what is large: blocks beside the message, one copy in and one out, and arrays of every kind."""
import array
import pickle
import random

import pytest
from crew import arena_bytes
from graphs import LARGE, Holder, Point, through_pickle

import cmp
from cmp._cmp import decode, encode, recode
from conftest import wait_until

np = pytest.importorskip("numpy")


def arrays():
    big = np.arange(30000, dtype="f8").reshape(100, 300)
    frozen = big.copy()
    frozen.flags.writeable = False
    structured = np.zeros(5000, [("a", "i4"), ("b", "f8", (2,)), ("c", "S3")])
    structured["a"] = range(5000)
    return {
        "C": big, "Fortran": np.asfortranarray(big), "slice": big[:, ::2], "reversed": big[::-1], "rows": big[10:90],
        "transposed": big.T, "3-d F": np.asfortranarray(np.arange(60000).reshape(3, 100, 200)), "0-d": np.array(3.5),
        "empty": np.empty((0, 5)), "empty F": np.empty((5, 0), order="F"), "structured": structured,
        "datetime": np.arange(20000).astype("M8[s]"), "timedelta": np.arange(20000).astype("m8[ms]"),
        "big-endian": np.arange(20000, dtype=">i4"), "bool": np.arange(50000) % 3 == 0, "float16": big.astype("f2"),
        "complex": big[0] + 1j * big[1], "read-only": frozen, "read-only view": np.frombuffer(bytes(100000), "u1"),
        "bytes": np.full(20000, b"abc", "S3"), "unicode": np.full(20000, "né", "U2"), "small": np.arange(5),
        "objects": np.array([1, "a", None, [2]], object), "broadcast": np.broadcast_to(np.arange(300.0), (100, 300)),
        "masked": np.ma.masked_less(big, 9), "recarray": structured.view(np.recarray), "matrix": big.view(np.matrix),
        "records": np.zeros(4000, "i4,f8"), "threshold - 1": np.zeros(LARGE - 1, "u1"),
        "threshold": np.zeros(LARGE, "u1"), "unaligned": np.zeros(80001, "u1")[1:].view("f8"),
    }  # fmt: skip


@pytest.mark.parametrize("name", arrays())
def test_arrays_come_out_as_from_a_pickle(name):
    original = arrays()[name]
    expected = through_pickle(original)
    for got in (recode(original), recode({"array": original})["array"], recode(Point(original, 1)).x):
        assert type(got) is type(expected) and got.dtype == expected.dtype and got.shape == expected.shape
        assert got.strides == expected.strides
        assert got.flags.writeable == expected.flags.writeable and got.flags.f_contiguous == expected.flags.f_contiguous
        assert got.tobytes() == expected.tobytes() == original.tobytes() or got.dtype.hasobject
        assert repr(got) == repr(original)


def test_large_arrays_are_outside_of_the_pickle():
    one, two = np.arange(100000), np.asfortranarray(np.ones((300, 300)))
    head, blocks = encode({"one": one, "two": Point(two, "small"), "three": np.arange(10)})
    assert len(head) < 1000 and [len(block) for block in blocks] == [one.nbytes, two.nbytes]
    assert bytes(blocks[0]) == one.tobytes()


def test_what_arrives_is_the_receivers_own():
    one = np.arange(100000)
    message = encode([one, bytearray(LARGE)])
    got, again = decode(*message), decode(*message)
    got[0][:] = 7
    got[1][:] = b"x" * LARGE
    assert (one == np.arange(100000)).all() and (again[0] == one).all() and again[1] == bytearray(LARGE)
    got[1].append(1)


def test_an_array_that_comes_twice_is_one():
    one = np.arange(10000)
    got = recode([one, one, one[:]])
    assert got[0] is got[1] and got[2] is not got[0]
    got[0][0] = 5
    assert got[2][0] == 0  # as with pickle, views part


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, 65535, 65536, 65537, 200000, 3 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_bytes_inside_any_object(size, kind):
    data = kind(random.Random(size).randbytes(size))
    head, blocks = encode(Holder([data, "and", data, kind(10)]))
    got = decode(head, blocks)
    assert got == Holder([data, "and", data, kind(10)]) and got.data[0] is got.data[2] and type(got.data[0]) is kind
    assert len(head) < LARGE + 100 and sum(map(len, blocks)) >= (size if size >= LARGE else 0)


def test_a_large_pickle_is_a_block():
    things = [Point(i, str(i)) for i in range(20000)]
    head, blocks = encode(things)
    assert len(head) < 100 and len(blocks) == 1 and len(blocks[0]) > 100000
    assert decode(head, blocks) == things


class Raw:
    """Has pickle-5 buffers of its own; shows what it is given."""

    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return (Raw, (pickle.PickleBuffer(self.data),))


@pytest.mark.parametrize("size", [10, 100000])
def test_buffers_are_given_as_they_would_be_in_band(size):
    for data, kind in ((bytes(size), bytes), (bytearray(size), bytearray), (array.array("b", bytes(size)), bytearray),
                       (memoryview(bytearray(size)).toreadonly(), bytes)):
        got, expected = recode(Raw(data)), through_pickle(Raw(data))
        assert type(got.data) is type(expected.data) is kind and bytes(got.data) == bytes(data)
    with pytest.raises((pickle.PicklingError, BufferError)):  # which of them, differs from version to version
        recode(Raw(memoryview(bytearray(200000))[::2]))


def test_many_buffers_in_order():
    ones = [np.full(5000 + i, i) for i in range(100)]
    got = recode({"ones": ones, "bytes": [bytes([i]) * LARGE for i in range(50)]})
    assert all((a == b).all() for a, b in zip(got["ones"], ones, strict=True))
    assert got["bytes"] == [bytes([i]) * LARGE for i in range(50)]
    many = [bytes([i % 256]) * (LARGE + i) for i in range(300)]
    assert recode(many) == many and len(encode(many)[1]) == 300


def test_while_a_message_is_made_nobody_resizes_its_bytearray():
    data = bytearray(100000)
    message = encode([data, Holder(data)])
    data.extend(b"free again")
    assert decode(*message)[0] == bytearray(100000)


def test_a_shared_array_goes_by_reference():
    array = cmp.shared_array((300, 300))
    view = array[10:20, ::2]
    head, blocks = encode([array, view])
    assert not blocks and len(head) < 2000
    got, got_view = decode(head)
    got[10, 2] = 5
    assert array[10, 2] == 5 == view[0, 1] == got_view[0, 1]
    ordinary = np.arange(100000)
    assert (recode(ordinary) == ordinary).all() and len(encode(ordinary)[1]) == 1


def test_objects_of_the_family_travel():
    lock = cmp.Lock()
    got, again = recode([lock, lock])
    with got:
        assert lock.locked() and got is again


def test_the_blocks_go_with_their_message():
    data = [bytes(200000), np.zeros(100000)]
    for _ in range(20):
        recode(data)
    before = arena_bytes()
    for _ in range(200):
        recode(data)
    assert arena_bytes() <= before


def send_to_child(conn):
    conn.send_bytes(bytes(len(decode(*conn.recv()))))


def test_a_message_crosses_to_another_process(ctx):
    """Head and blocks, as the channels do it; under every start method."""
    ours, theirs = ctx.Pipe()
    process = ctx.Process(target=send_to_child, args=(theirs,))
    process.start()
    ours.send(encode([bytes(100000), np.zeros(30000), "plain"]))
    assert len(ours.recv_bytes()) == 3
    process.join()
    ours.close()
    theirs.close()
    assert wait_until(lambda: process.exitcode == 0)
