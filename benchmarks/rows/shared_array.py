"""shared_array: created and dropped, handed to a child."""

from harness import Wrong, row, statement

for name, nbytes in (("8 B", 8), ("4 KB", 4096), ("1 MB", 1 << 20)):
    statement(
        f"shared_array/create + drop {name}", "us", "", f"made = mp.shared_array({nbytes}, 'u1')", "not made.any()",
        needs="shared_array", imports="numpy", kept="made", unroll=1, quick=nbytes == 1 << 20,
    )  # fmt: skip


def write(array, number):
    array[::4096] = number


@row("shared_array/64 MB to a child", "ms", needs="shared_array", imports="numpy")
def to_a_child(mp, crew):
    """Start, touch every page and join; the array is not copied."""
    array = mp.shared_array(64 << 20, "u1")

    def loop(n):
        for number in range(n):
            process = mp.Process(target=write, args=(array, number % 200 + 1))
            process.start()
            process.join()
            if array[-4096] != number % 200 + 1:
                raise Wrong("the child's write is not seen")

    yield loop


@row("rawarray/64 MB to a child", "ms", needs="RawArray", imports="numpy")
def raw_to_a_child(mp, crew):
    """The same with what multiprocessing has."""
    import numpy

    raw = mp.RawArray("B", 64 << 20)
    array = numpy.frombuffer(raw, "u1")

    def loop(n):
        for number in range(n):
            process = mp.Process(target=write_raw, args=(raw, number % 200 + 1))
            process.start()
            process.join()
            if array[-4096] != number % 200 + 1:
                raise Wrong("the child's write is not seen")

    yield loop


def write_raw(raw, number):
    import numpy

    numpy.frombuffer(raw, "u1")[::4096] = number
