"""ShareableList: every value comes back as it went in, from every process, and a plain Python's lists are ours."""
import gc
import os
import pickle
import random
import struct
from multiprocessing import shared_memory as std

import pytest
from crew import run_program, running

from cmp.shared_memory import ShareableList, SharedMemory

VALUES = [0, -1, 2**63 - 1, -2**63, 0.0, -273.15, float("inf"), True, False, None,
          "", "howdy", "ünï", "日本語", "😀" * 5, "x" * 7, "x" * 8, "x" * 9, b"", b"HoWdY", b"x" * 16,
          "end\0", b"end\0", b"\0", "\0\0\0", b"\0" * 8, b"a\0b", b"\0" * 16, "日本\0", b"12345678\0",
          "a" * 100_000 + "\0", b"a" * 1_500_000 + b"\0"]


@pytest.fixture
def made():
    lists = []

    def make(*args, **kwargs):
        lists.append(ShareableList(*args, **kwargs))
        return lists[-1]
    yield make
    for numbers in lists:
        numbers.shm.close()
        if os.path.exists("/dev/shm/" + numbers.shm.name):
            numbers.shm.unlink()


def same(one, other):
    return list(map(repr, one)) == list(map(repr, other)) and list(map(type, one)) == list(map(type, other))


def test_every_value_comes_back(made):
    numbers = made(VALUES)
    assert same(numbers, VALUES)
    assert same(made(name=numbers.shm.name), VALUES) and len(numbers) == len(VALUES)
    assert same(pickle.loads(pickle.dumps(numbers)), VALUES)
    assert same(made(list(numbers)), VALUES)


@pytest.mark.parametrize("value", VALUES[:-2], ids=lambda value: repr(value)[:20])
def test_every_value_can_be_put_over_every_other(made, value):
    size = len(value.encode() if isinstance(value, str) else value) if isinstance(value, str | bytes) else 8
    for before in VALUES[:-2]:
        numbers = made(["left", before, b"right\0"])
        room = numbers._allocated_offsets[2] - numbers._allocated_offsets[1]
        if size > room:
            with pytest.raises(ValueError, match="exceeds available storage"):
                numbers[1] = value
            value_now = before
        else:
            numbers[1] = value
            value_now = value
        assert same(numbers, ["left", value_now, b"right\0"])
        numbers.shm.close()
        numbers.shm.unlink()


def test_an_item_as_long_as_its_room(made):
    numbers = made(["1234567", 5])
    for value in ("1234567\0", "12345678", b"\0" * 8, "encodés", "\0234567\0"):
        numbers[0] = value
        assert same(numbers, [value, 5])
        assert same(made(name=numbers.shm.name), [value, 5])
    for value in ("123456789", "encodées", b"\0" * 9):
        with pytest.raises(ValueError, match="exceeds available storage"):
            numbers[0] = value


def test_what_cannot_be_packed_changes_nothing(made):
    numbers = made([1.5, "text", None])
    for value, error in ((2**63, struct.error), ([1], KeyError), (1j, KeyError), ("\ud800", UnicodeError)):
        for position in range(3):
            with pytest.raises(error):
                numbers[position] = value
        assert same(numbers, [1.5, "text", None])
        before = set(os.listdir("/dev/shm"))
        with pytest.raises(error):
            ShareableList([1, value])
        assert set(os.listdir("/dev/shm")) == before


def test_positions(made):
    numbers = made(range(5))
    assert numbers[-1] == 4 and numbers[-5] == 0 and numbers[True] == 1
    for position in (5, -6, 2**70, -2**70):
        with pytest.raises(IndexError):
            numbers[position]
        with pytest.raises(IndexError):
            numbers[position] = 1
    for position in ("1", 1.0, slice(2), None):
        with pytest.raises(TypeError):
            numbers[position]


def test_what_a_list_has(made):
    numbers = made(["howdy", b"HoWdY", -273.154, 100, None, True, 42, "end\0"])
    assert numbers.format == "8s8sdqxxxxxx?xxxxxxxx?q8s"
    assert numbers.count(42) == 1 and numbers.index(100) == 3 and 42 in numbers
    with pytest.raises(ValueError):
        numbers.index("nothing")
    assert repr(numbers) == f"ShareableList({list(numbers)}, name={numbers.shm.name!r})"
    assert isinstance(numbers, std.ShareableList) and str(ShareableList[int]).endswith("ShareableList[int]")
    assert list(reversed(made("abc"))) == ["c", "b", "a"]


def test_made_from_anything(made):
    for sequence in ((), [], "", range(0), iter([])):
        assert list(made(sequence)) == []
    assert list(made(None)) == []
    assert list(made(number for number in range(3))) == [0, 1, 2]
    named = made([1], name="cmp_test_list")
    assert named.shm.name == "cmp_test_list"
    with pytest.raises(FileExistsError):
        ShareableList([2], name="cmp_test_list")


def test_after_close(made):
    numbers = made([1])
    numbers.shm.close()
    for use in (lambda: numbers[0], lambda: list(numbers), lambda: numbers.__setitem__(0, 2), lambda: len(numbers)):
        with pytest.raises(ValueError, match="closed"):
            use()


# Other processes

def change(numbers, name):
    numbers[0], numbers[1], numbers[2] = "now\0", 5, None
    ShareableList(name=name)[3] = b"too\0"


def test_a_child_sees_and_changes_them(ctx, made):
    """Types as well: what stands there now counts, not what stood there when the process was forked."""
    numbers = made([1, "text", 2.5, "bytes"])
    with running(ctx, change, numbers, numbers.shm.name) as child:
        child.join()
        assert child.exitcode == 0
    assert same(numbers, ["now\0", 5, None, b"too\0"])


PLAIN = [1, -2.5, True, None, "text", b"bytes", "", b"x" * 40]


def test_the_same_bytes_as_the_standard_librarys(made, tmp_path):
    ours = made(PLAIN)
    theirs = run_program(tmp_path, f"""
import sys
from multiprocessing import shared_memory
numbers = shared_memory.ShareableList({PLAIN!r})
print(bytes(numbers.shm.buf).hex())
numbers.shm.close()
numbers.shm.unlink()
""")
    assert bytes(ours.shm.buf).hex() == theirs[0]


def test_a_plain_python_reads_and_writes_ours(made, tmp_path):
    """Trailing zero bytes are lost to it, as ever, and only there."""
    ours = made([*PLAIN, "end\0", "12345\0", "日本\0"])
    ours[5] = b"12\0"
    run_program(tmp_path, f"""
import sys
from multiprocessing import resource_tracker, shared_memory
list_ = shared_memory.ShareableList(name=sys.argv[1])
resource_tracker.unregister(list_.shm._name, "shared_memory")
expected = {PLAIN!r} + ["end", "12345", "日本"]
expected[5] = b"12"
assert list(list_) == expected, list(list_)
list_[5] = b"12345678"
list_[8] = "longer"
list_[9] = 6
list_[0] = 7
""", ours.shm.name)
    assert same(ours, [7, *PLAIN[1:5], b"12345678", *PLAIN[6:], "longer", 6, "日本\0"])


def test_we_read_and_write_a_plain_pythons(tmp_path):
    (tmp_path / "ours.py").write_text(f"""
import sys
from cmp.shared_memory import ShareableList
numbers = ShareableList(name=sys.argv[1])
assert list(numbers) == {PLAIN!r}
numbers[4], numbers[5], numbers[0] = "öther", b"byte\\0", 8
""")
    run_program(tmp_path, f"""
import subprocess, sys
from multiprocessing import shared_memory
numbers = shared_memory.ShareableList({PLAIN!r})
subprocess.run([sys.executable, "ours.py", numbers.shm.name], check=True)
assert list(numbers) == [8, *{PLAIN!r}[1:4], "öther", b"byte", *{PLAIN!r}[6:]], list(numbers)
numbers.shm.close()
numbers.shm.unlink()
""")


def test_damaged_memory_is_an_error_and_no_crash(made):
    random.seed(5)
    for _ in range(300):
        numbers = ShareableList([1, "text", b"x\0", None])
        for _ in range(5):
            numbers.shm.buf[random.randrange(numbers.shm.size)] = random.randrange(256)
        for use in (lambda: list(ShareableList(name=numbers.shm.name)), lambda: list(numbers)):  # noqa: B023
            try:
                use()
            except (ValueError, KeyError, IndexError, struct.error, MemoryError, OverflowError, TypeError):
                pass
        numbers.shm.unlink()


def test_nothing_leaks(made):
    numbers = made(VALUES[:20])
    SharedMemory(numbers.shm.name)
    counts = []
    for _ in range(3):
        for _ in range(50):
            list(numbers)
            numbers[0] = 5
            with pytest.raises(struct.error):
                numbers[0] = 2**70
            repr(ShareableList(name=numbers.shm.name))
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[1] == counts[2]
