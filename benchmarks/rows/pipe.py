"""Pipe: round trips of small and large messages, streams one way; Listener and Client."""

import importlib
import os

from harness import expect, matcher, repeat, row, same, statement

KIB, MIB = 1 << 10, 1 << 20
SAMPLES = {
    "int": (lambda: 12345, 0),
    "small dict": (lambda: {"id": 12345, "name": "abc", "value": 2.5}, 0),
    "3-tuple": (lambda: (1, "abc", 2.0), 0),
    "1 KiB bytes": (lambda: bytes(range(256)) * 4, KIB),
    "1 MiB bytes": (lambda: bytes(range(256)) * 4096, MIB),
    "64 MiB bytes": (lambda: bytes(range(256)) * (4096 * 64), 64 * MIB),
    "1 MiB array": (lambda: importlib.import_module("numpy").arange(MIB // 8, dtype="int64"), MIB),
    "64 MiB array": (lambda: importlib.import_module("numpy").arange(8 * MIB, dtype="int64"), 64 * MIB),
    "8 MiB array": (lambda: importlib.import_module("numpy").arange(MIB, dtype="int64"), 8 * MIB),
}


def echo(rounds, conn):
    for n in rounds:
        for _ in repeat(None, n):
            conn.send(conn.recv())


def ping(conn, sample):
    """The loop of a round trip, and its check."""
    matches = matcher(sample)

    def loop(n):
        for _ in repeat(None, n):
            conn.send(sample)
            message = conn.recv()
            expect(matches(message), "what comes back is what was sent")
        return message

    return loop, lambda n, message, told: expect(same(message, sample), "the last message is the sample")


def round_trip(what, make, size):
    large = size >= MIB
    floor = "memcpy.warm.256M" if large else "pingpong.spin.cross"

    @row(
        f"pipe/round trip, {what}", "ms" if large else "us", needs="Pipe", imports="numpy" if "array" in what else "",
        size=4 * size, floor=floor, quick=what in ("int", "8 MiB array"),
    )  # fmt: skip
    def pipe(mp, crew):
        near, far = mp.Pipe()
        crew.hire(echo, far)
        far.close()
        yield ping(near, make())
        near.close()


for what, (make, size) in SAMPLES.items():
    round_trip(what, make, size)


def echo_here(rounds, conn, core):
    os.sched_setaffinity(0, {core})
    echo(rounds, conn)


@row("pipe/round trip, int, both on one core", "us", needs="Pipe")
def one_core(mp, crew):
    near, far = mp.Pipe()
    core = min(os.sched_getaffinity(0))
    crew.hire(echo_here, far, core)
    far.close()
    os.sched_setaffinity(0, {core})
    yield ping(near, 12345)
    near.close()


def send_numbers(rounds, conn):
    for n in rounds:
        for i in range(n):
            conn.send(i)


def send_blobs(rounds, conn, size):
    blob = b"x" * size
    for n in rounds:
        for _ in repeat(None, n):
            conn.send_bytes(blob)


@row("pipe/stream of ints", "k/s", needs="Pipe", floor="ring.spin.cross")
def stream(mp, crew):
    near, far = mp.Pipe(duplex=False)
    crew.hire(send_numbers, far)
    far.close()

    def loop(n):
        for i in range(n):
            if near.recv() != i:
                expect(False, f"message {i} is {i}")

    yield loop
    near.close()


def stream_of_bytes(what, n_bytes, **how):
    @row(f"pipe/stream of {what}, send_bytes", "k/s", needs="Pipe", **how)
    def stream_bytes(mp, crew):
        near, far = mp.Pipe(duplex=False)
        crew.hire(send_blobs, far, n_bytes)
        far.close()
        blob = b"x" * n_bytes

        def loop(n):
            for _ in repeat(None, n):
                if near.recv_bytes() != blob:
                    expect(False, "every message is the blob")

        yield loop
        near.close()


stream_of_bytes("64 B", 64, floor="ring.spin.cross")
stream_of_bytes("1 MiB", MIB, size=2 * MIB, floor="memcpy.warm.256M")


statement(
    "pipe/create + close", "us", "", "a, b = mp.Pipe(); a.close(); b.close()", "total > 0", needs="Pipe", unroll=1
)


def client(rounds, module, address, key):
    conn = importlib.import_module(f"{module}.connection").Client(address, authkey=key)
    echo(rounds, conn)


@row("listener/round trip, int", "us", needs="connection.Listener connection.Client", floor="pingpong.spin.cross")
def listener(mp, crew):
    key = b"a key"
    with mp.connection.Listener(None, "AF_UNIX", authkey=key) as door:
        crew.hire(client, mp.__name__, door.address, key)
        with door.accept() as conn:
            yield ping(conn, 12345)
