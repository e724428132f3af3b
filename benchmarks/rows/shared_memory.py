"""SharedMemory and ShareableList: a block's life, attaching, items."""

from harness import statement

NEEDS = "shared_memory.SharedMemory"

CREATE = """
block = mp.shared_memory.SharedMemory(create=True, size=65536)
block.buf[65535] = last = 7
name = block.name
block.close()
block.unlink()
""".strip()
GONE = """
def is_gone(name):
    try:
        mp.shared_memory.SharedMemory(name=name)
    except FileNotFoundError:
        return True
""".strip()
statement(
    "shared_memory/create, close, unlink 64 KiB", "us", GONE, CREATE, "is_gone(name)",
    needs=NEEDS, kept="name", unroll=1, quick=True,
)  # fmt: skip

ATTACH = """
view = mp.shared_memory.SharedMemory(name=block.name)
found = view.buf[65535]
view.close()
""".strip()
statement(
    "shared_memory/attach + close 64 KiB", "us",
    "block = mp.shared_memory.SharedMemory(create=True, size=65536)\nblock.buf[65535] = 7",
    ATTACH, "found == 7", end="block.close(); block.unlink()", needs=NEEDS, unroll=1,
)  # fmt: skip

LIST = "numbers = mp.shared_memory.ShareableList(range(100))"
END = "numbers.shm.close(); numbers.shm.unlink()"
for what, do, check in (("get", "numbers[50]", "numbers[50] == 50"), ("set", "numbers[50] = 9", "numbers[50] == 9")):
    statement(f"shareable_list/item {what}", "ns", LIST, do, check, end=END, needs="shared_memory.ShareableList")
