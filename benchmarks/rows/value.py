"""Value, Array and RawArray: read, written, incremented under the lock, created."""

from harness import statement

NUMBERS = "array = mp.Array('d', [float(i) for i in range(1000)])"

statement("value/get", "ns", "v = mp.Value('i', 42)", "v.value", "v.value == 42", needs="Value", quick=True)
statement("value/set", "ns", "v = mp.Value('i', 0)", "v.value = 42", "v.value == 42", needs="Value")
statement(
    "value/+= 1 under get_lock()", "ns", "v = mp.Value('q', 0)", "with v.get_lock(): v.value += 1", "v.value == total",
    needs="Value", floor="lock.cas", quick=True,
)  # fmt: skip
statement("value/create", "us", "", "v = mp.Value('i', 7)", "v.value == 7", needs="Value", kept="v", unroll=1)

statement("array/item get", "ns", NUMBERS, "array[500]", "array[500] == 500.0", needs="Array")
statement("array/item set", "ns", NUMBERS, "array[500] = 1.5", "array[499:502] == [499.0, 1.5, 501.0]", needs="Array")
statement(
    "array/slice of 1000 doubles", "us", NUMBERS, "array[:]", "array[:] == [float(i) for i in range(1000)]",
    needs="Array",
)  # fmt: skip
statement(
    "array/create, 1000 doubles", "us", "", "array = mp.Array('d', 1000)",
    "len(array) == 1000 and array[999] == 0.0", needs="Array", kept="array", unroll=1,
)  # fmt: skip
statement(
    "rawarray/item get", "ns", "array = mp.RawArray('d', range(1000))", "array[500]", "array[500] == 500.0",
    needs="RawArray",
)  # fmt: skip
statement(
    "rawarray/item set", "ns", "array = mp.RawArray('d', range(1000))", "array[500] = 1.5", "array[500] == 1.5",
    needs="RawArray",
)  # fmt: skip

# A megabyte at a time.
TEXT = "array, text = mp.Array('c', 1 << 20), bytes(range(256)) * 4096"
for what, do, check in (
    ("raw get", "found = array.raw", "len(found) == 1 << 20"),
    ("raw set", "array.raw = text", "array.raw == text"),
    ("slice get", "found = array[:]", "len(found) == 1 << 20"),
    ("slice set", "array[:] = text", "array.raw == text"),
):
    statement(f"array/{what} of 1 MB", "us", TEXT, do, check, needs="Array", unroll=1)
statement(
    "array/slice set of 1000 doubles", "us", f"{NUMBERS}\nvalues = [float(-i) for i in range(1000)]",
    "array[:] = values", "array[:] == values", needs="Array", unroll=1,
)  # fmt: skip
