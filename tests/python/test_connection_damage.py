"""Pipes that something has written over: an error or some message; no crash, no hang, no harm to others."""
import subprocess
import sys

import pytest

# All of it happens in a program of its own: what is damaged there concerns nobody else.
FORGE = """
import collections, mmap, os, pickle, random, signal, struct, sys
sys.path[:0] = sys.argv[2:]
from crew import arena_descriptor
from cmp import connection

Pipe = connection.Pipe
SIGN = bytes(random.Random("a sign").randbytes(24))
near, far = Pipe()
near.send_bytes(SIGN)
descriptor = arena_descriptor()
memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
assert far.recv_bytes() == SIGN
random.seed(int(sys.argv[1]))
seen = collections.Counter()
LIKELY = [0, 1, 2, 3, 7, 8, 63, 64, 65, 4096, 1 << 16, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]

def value(old):
    return random.choice((random.choice(LIKELY), random.getrandbits(64), old ^ 1 << random.randrange(64),
                          old & ~0xffff | random.getrandbits(16), old + random.choice((-8, -1, 1, 8)))) & (1 << 64) - 1

def forge(at):
    old, = struct.unpack_from("Q", memory, at)
    struct.pack_into("Q", memory, at, value(old))

def receive(b, how):
    try:
        got = getattr(b, how)()
        seen["a message" if got is not None else "nothing"] += 1
    except (pickle.UnpicklingError, OSError, EOFError) as error:
        seen[type(error).__name__] += 1

def check_others():
    for message in (SIGN, SIGN * 10000, [SIGN * 3000, {1: (2, None)}]):
        near.send(message)
        assert far.recv() == message
"""

RECORDS = FORGE + """
for turn in range(150):
    a, b = Pipe()
    sign = random.randbytes(24)
    a.send_bytes(sign)
    at = memory.find(sign) - 8
    a.send_bytes(sign * 4000)  # in a block: its record is a word, a reference, and a number
    a.send((1, "two"))
    signal.alarm(20)  # a hang: killed by SIGALRM
    for _ in range(random.choice((1, 1, 2, 4))):
        forge(at + 8 * random.choice((0, 4, 5, 6, 7, 8)))
    for how in ("poll", "recv_bytes", "recv_bytes", "recv"):
        if b.poll():
            receive(b, how)
    a.poll(), b.fileno()
    check_others()
    signal.alarm(0)
    a.close()
    b.close()
assert seen["a message"] > 100 and seen["UnpicklingError"] > 5 and seen["OSError"] > 5, seen
print("alive")
"""

BLOCKS = FORGE + """
for turn in range(150):
    a, b = Pipe()
    sign = random.randbytes(24)
    a.send([sign * 2000, "text"])
    a.send((1, "two"))
    at = memory.find(sign) - 128  # a table of lengths, the head, and this
    assert struct.unpack_from("Q", memory, at)[0] == 1 and memory.find(sign, at, at + 128 + 24) == at + 128
    signal.alarm(20)
    for _ in range(random.choice((1, 1, 2, 4))):
        forge(at + 8 * random.choice((0, 1, 2, 3, 8, 9)))
    receive(b, "recv")
    assert b.recv() == (1, "two")
    check_others()
    signal.alarm(0)
    a.close()
    b.close()
assert seen["a message"] > 10 and seen["UnpicklingError"] > 50, seen
print("alive")
"""


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("program", [RECORDS, BLOCKS], ids=["records", "blocks"])
def test_forged_messages(tmp_path, program, seed):
    ran = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program, str(seed), *sys.path],
                         capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "alive\n"), ran.stderr[-3000:]
