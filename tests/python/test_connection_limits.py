"""Connections at their limits: many pipes, no descriptors, no memory, messages past 2 GiB, garbage, forks beside a
stream, and streams that selectors watch."""
import asyncio
import itertools
import multiprocessing
import os
import pickle
import random
import select
import signal
import socket
import struct
import threading
import time
import traceback

import pytest
from crew import arena_bytes, asleep, resident_bytes, run_program, running

import cmp
from cmp import connection
from conftest import wait_until

Pipe = connection.Pipe
FORK = cmp.get_context("fork")


@pytest.fixture
def pipe():
    ends = Pipe()
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def one_way():
    ends = Pipe(False)
    yield ends
    for end in ends:
        end.close()


# ---- many pipes ----


def test_pipes_leave_no_memory():
    """They have carried messages of every kind, some of which were never received."""
    def use(n):
        for i in range(n):
            a, b = Pipe(i % 2 == 0)
            b.send([i, "x" * (i * 61 % 30_000)])
            b.send_bytes(bytes(200_000 if i % 50 == 0 else 10))
            assert a.recv()[0] == i
            a.close()
            b.close()
    use(1500)
    arena, resident = arena_bytes(), resident_bytes()
    use(4000)
    assert arena_bytes() - arena < 8 << 20
    assert resident_bytes() - resident < 16 << 20
    assert cmp.check() == []


def test_as_many_pipes_as_there_are_descriptors(tmp_path):
    """ulimit -n 64: a clear error, those that there are go on, and what was closed can be had again."""
    printed = run_program(tmp_path, """
import cmp, errno, os, resource
from cmp import connection
Pipe = connection.Pipe
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def fill():
    pipes = []
    try:
        while True:
            pipes.append(Pipe())
    except OSError as error:
        assert error.errno == errno.EMFILE and str(error) == "[Errno 24] Too many open files", error
    return pipes
def free():
    return [fd for fd in range(64) if not os.path.exists(f"/proc/self/fd/{fd}")]
counts = set()
for turn in range(50):
    pipes = fill()
    counts.add(len(pipes))
    assert len(free()) <= 2, free()
    for i, (a, b) in enumerate(pipes):
        a.send((turn, i))
        assert b.poll() and b.recv() == (turn, i)
    a, b = pipes[0]
    try:
        a.send(b)
    except OSError as error:
        assert error.errno == errno.EMFILE, error
    else:
        raise AssertionError("an end was copied, and there was no descriptor")
    a.send("next")
    assert b.recv() == "next"
    del pipes, a, b
print(len(counts), min(counts) >= 25, cmp.check())
""")
    assert printed == ["1 True []"]


def test_two_thousand_pipes_at_once(tmp_path):
    assert run_program(tmp_path, """
import cmp, random, resource
from cmp import connection
Pipe = connection.Pipe
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
n = 2000 if hard == resource.RLIM_INFINITY or hard > 4100 else (hard - 100) // 2
resource.setrlimit(resource.RLIMIT_NOFILE, (2 * n + 50, hard))
pipes = [Pipe() for _ in range(n)]
for turn in range(3):
    order = random.sample(range(n), n)
    for i in order:
        pipes[i][turn % 2].send((turn, i))
    for i in reversed(order):
        assert pipes[i][1 - turn % 2].recv() == (turn, i)
print(cmp.check())
""") == ["[]"]


# ---- large messages, and no memory for them ----


@pytest.mark.skipif(not os.environ.get("CMP_STRESS"), reason="takes 8 GB and many seconds: CMP_STRESS=1 (make stress)")
@pytest.mark.limit(300)
def test_two_gibibytes_and_one_byte(pipe):
    a, b = pipe
    size = (1 << 31) + 1
    data = bytearray(size)
    data[:3], data[1 << 31:], data[1 << 30:(1 << 30) + 5] = b"abc", b"z", b"12345"

    def verify(got):
        assert (len(got), got[:3], got[1 << 31:], got[1 << 30:(1 << 30) + 5]) == (size, b"abc", b"z", b"12345")
        assert got.count(b"\0") == size - 9
    for send, receive in ((a.send_bytes, b.recv_bytes), (a.send, b.recv)):
        sender = threading.Thread(target=send, args=(data,))
        sender.start()
        verify(receive())
        sender.join()
    sender = threading.Thread(target=a.send_bytes, args=(data, 1, size - 1))
    sender.start()
    assert b.recv_bytes_into(memoryview(data)) == size - 1
    sender.join()
    assert data[:2] == b"bc" and data[size - 2:] == b"zz"
    a.send("next")
    assert b.recv() == "next" and cmp.check() == []


NO_MEMORY = """
import cmp, os, resource, threading
from cmp import connection
Pipe = connection.Pipe
data = bytes(range(256)) * (1 << 20)
LIMIT
a, b = Pipe()
a.send(1)
a.send_bytes(b"2")
def refused(call, *args):
    try:
        call(*args)
    except MemoryError as error:
        return str(error)
    raise AssertionError("there was memory")
for _ in range(30):
    for call, what in ((a.send_bytes, data), (a.send, data), (a.send, {"x": [data, bytearray(300_000)]})):
        text = refused(call, what)
        assert "bytes of shared memory for a message cannot be had" in text, text
print(text.split(":")[1].strip())
a.send(3)
assert [b.recv(), b.recv_bytes(), b.recv()] == [1, b"2", 3] and not b.poll()
small = os.urandom(1_000_000)
for _ in range(20):
    a.send({"x": small})
    assert b.recv() == {"x": small}
    a.send_bytes(small)
    assert b.recv_bytes() == small
print(cmp.check())
"""


def test_no_memory_for_a_message_by_the_address_space(tmp_path):
    printed = run_program(tmp_path, NO_MEMORY.replace("LIMIT", """
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (200 << 20), now + (200 << 20)))
"""))
    assert printed == ["send less at a time, or raise the limit of memory (of the machine, its control group, "
                       "ulimit -v)", "[]"]


def test_no_memory_for_a_message_by_the_size_of_files(tmp_path):
    printed = run_program(tmp_path, NO_MEMORY.replace("LIMIT", """
resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 20, 100 << 20))
"""), options=["-B"])
    assert printed == ["they would exceed the limit of the size of files (ulimit -f)", "[]"]


def test_no_memory_to_receive_a_message(tmp_path):
    """It is the receiver's own memory that is missing; the next message is intact."""
    assert run_program(tmp_path, """
import cmp, resource, threading
from cmp import connection
Pipe = connection.Pipe
a, b = Pipe()
data = bytes(200 << 20)
sender = threading.Thread(target=lambda: [a.send_bytes(data), a.send(data), a.send("next"), a.send_bytes(b"last")])
sender.start()
b.poll(None)
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (20 << 20), now + (20 << 20)))
for call in (b.recv_bytes, b.recv):
    try:
        call()
    except MemoryError:
        print("MemoryError")
print(b.recv(), b.recv_bytes(), b.poll(), cmp.check())
sender.join()
""") == ["MemoryError", "MemoryError", "next b'last' False []"]


def send_large_for_ever(end):
    while True:
        end.send([bytes(30 << 20), end.fileno()])


def test_killed_senders_leave_no_memory():
    """Each is killed with some messages in the pipe and one on its way into it."""
    sizes = []
    for _ in range(10):
        a, b = Pipe(False)
        with running(FORK, send_large_for_ever, b) as child:
            b.close()
            assert len(a.recv()[0]) == 30 << 20
            assert wait_until(lambda: asleep(child.pid), 20)
            child.kill()
            child.join()
        a.close()
        assert cmp.check() == []
        sizes.append(arena_bytes())
    assert sizes[-1] - sizes[1] < 100 << 20  # and not 30 MB more for each of them


# ---- what cannot be unpickled ----


class EndsItself:
    """An object whose unpickling raises EOFError by itself."""

    def __reduce__(self):
        return raise_eof, ()


def raise_eof():
    raise EOFError("of the object")


@pytest.mark.parametrize("kind", ["empty", "no opcode", "cut short", "cut long", "of an object"])
def test_a_pickle_that_is_cut_off_is_not_the_end_of_the_pipe(pipe, kind):
    a, b = pipe
    garbage = {"empty": b"", "no opcode": b"\x80\x05", "cut short": pickle.dumps([1, 2, 3])[:-1],
               "cut long": pickle.dumps(list(range(100_000)))[:-7],
               "of an object": pickle.dumps(ValueError(1))[:-2]}[kind]
    sender = threading.Thread(target=lambda: [a.send_bytes(garbage), a.send("next")])
    sender.start()
    with pytest.raises(pickle.UnpicklingError) as caught:
        b.recv()
    assert b.recv() == "next" and not b.poll()
    sender.join()
    if type(caught.value.__cause__) is EOFError:
        assert str(caught.value) == "the pickle of a message is cut off"
    else:
        assert caught.value.__cause__ is None and "truncated" in str(caught.value)


def test_the_cause_of_a_cut_pickle_is_told(pipe):
    a, b = pipe
    a.send_bytes(b"")
    with pytest.raises(pickle.UnpicklingError, match=r"^the pickle of a message is cut off$") as caught:
        b.recv()
    assert repr(caught.value.__cause__) == "EOFError('Ran out of input')"
    assert "direct cause" in "".join(traceback.format_exception(caught.value))


def test_an_object_s_own_eof_error_stays(pipe):
    a, b = pipe
    a.send(EndsItself())
    a.send({"x": EndsItself(), "y": bytearray(100_000)})
    a.send_bytes(pickle.dumps(EndsItself()))
    a.send("next")
    for _ in range(3):
        with pytest.raises(EOFError, match="of the object"):
            b.recv()
    assert b.recv() == "next"


def test_random_garbage_never_is_the_end(pipe):
    a, b = pipe
    rng = random.Random(5)
    whole = [pickle.dumps(one) for one in ([1, "a", {2.5: None}], (b"x" * 300, [[]]), ValueError("x"), range(5))]
    for turn in range(3000):
        raw = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(4)):
            raw[rng.randrange(len(raw))] = rng.choice(b".0)]}aebtuqhXKMGJN\x80\x85\x94\x95")
        a.send_bytes(raw[:rng.randrange(len(raw) + 1)])
        try:
            b.recv()
        except EOFError as error:
            raise AssertionError(f"the garbage {bytes(raw)!r} is taken for the end") from error
        except Exception:
            pass
        a.send(turn)
        assert b.recv() == turn


# ---- streams under selectors ----


def send_stream(end, first, n):
    rng = random.Random(first)
    for number in range(first, first + n):
        size = rng.choice((0, 0, 10, 3000, 40_000 if number % 50 == 0 else 1))
        end.send_bytes(struct.pack("I", number) + bytes(size))
        if number % 500 == 0:
            time.sleep(0.002)  # the other side runs empty now and then


def stream(end, n_senders, n):
    return [FORK.Process(target=send_stream, args=(end, i * n, n)) for i in range(n_senders)]


def finish(senders):
    for sender in senders:
        sender.join()
        assert sender.exitcode == 0


def number_in(raw):
    return struct.unpack("I", raw[:4])[0]


@pytest.mark.parametrize("by", ["select", "poll", "epoll", "wait"])
def test_no_wake_is_missed_in_a_stream(one_way, by):
    """One message for each time that the descriptor is readable; a missed one would hang, a false one too."""
    reader, writer = one_way
    senders, n = 3, 7000
    epoll = select.epoll()
    epoll.register(reader, select.EPOLLIN)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    ready = {"select": lambda: select.select([reader], [], [], 20)[0], "poll": lambda: poll.poll(20_000),
             "epoll": lambda: epoll.poll(20), "wait": lambda: connection.wait([reader], 20)}[by]
    processes, seen = stream(writer, senders, n), []
    for process in processes:
        process.start()
    while len(seen) < senders * n:
        assert ready(), f"{len(seen)} messages came, and no more is told of"
        assert reader.poll()
        seen.append(number_in(reader.recv_bytes()))
    finish(processes)
    assert not select.select([reader], [], [], 0)[0] and not reader.poll()
    epoll.close()
    assert sorted(seen) == list(range(senders * n))
    for i in range(senders):
        assert [one for one in seen if one // n == i] == list(range(i * n, (i + 1) * n))


def test_no_wake_is_missed_by_edges(one_way):
    """EPOLLET: told once for each time that there is something where there was nothing."""
    reader, writer = one_way
    senders, n = 3, 7000
    processes, seen = stream(writer, senders, n), []
    with select.epoll() as epoll:
        epoll.register(reader, select.EPOLLIN | select.EPOLLET)
        for process in processes:
            process.start()
        while len(seen) < senders * n:
            assert epoll.poll(20), f"{len(seen)} messages came, and no more is told of"
            while reader.poll():
                seen.append(number_in(reader.recv_bytes()))
    finish(processes)
    assert sorted(seen) == list(range(senders * n))


def test_no_wake_is_missed_by_asyncio(one_way):
    reader, writer = one_way
    senders, n = 3, 7000
    processes, seen = stream(writer, senders, n), []

    async def main():
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def receive():
            seen.append(number_in(reader.recv_bytes()))
            if len(seen) == senders * n:
                done.set()
        loop.add_reader(reader.fileno(), receive)
        for process in processes:
            process.start()
        try:
            await asyncio.wait_for(done.wait(), 40)
        finally:
            loop.remove_reader(reader.fileno())
    asyncio.run(main())
    finish(processes)
    assert sorted(seen) == list(range(senders * n))


def test_several_who_watch_one_end(one_way):
    """Threads that are all told of one message: one of them gets it, and the others go on to wait for theirs."""
    reader, writer = one_way
    senders, n, n_threads = 2, 4000, 4
    seen = []

    def receive():
        while True:
            select.select([reader], [], [])
            raw = reader.recv_bytes()
            if raw == b"end":
                return
            seen.append(number_in(raw))
    threads = [threading.Thread(target=receive) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    processes = stream(writer, senders, n)
    for process in processes:
        process.start()
    finish(processes)
    for _ in threads:
        writer.send_bytes(b"end")
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(senders * n))


def send_and_end(end, first, n):
    with end:
        send_stream(end, first, n)


def test_wait_over_all_kinds_to_the_end(ctx):
    """The loop of the library's documentation, over its pipes, ours, a socket and sentinels."""
    n, sources = 400, {}
    for i, make in enumerate((Pipe, multiprocessing.Pipe, Pipe)):
        reader, writer = make(False)
        process = ctx.Process(target=send_and_end, args=(writer, i * n, n))
        process.start()
        writer.close()
        sources[reader] = process
    left, right = socket.socketpair()
    waiting, seen, ended = [*sources, right, *(one.sentinel for one in sources.values())], [], 0
    left.send(b"x")
    while waiting:
        ready = connection.wait(waiting, 40)
        assert ready, waiting
        for one in ready:
            if one is right:
                assert right.recv(1) == b"x"
            elif isinstance(one, int):
                ended += 1
            else:
                try:
                    seen.append(number_in(one.recv_bytes()))
                    continue
                except EOFError:
                    one.close()
            waiting.remove(one)
    finish(sources.values())
    left.close()
    right.close()
    assert ended == 3 and sorted(seen) == list(range(3 * n))


# ---- beside a stream ----


def test_forks_beside_a_stream(pipe):
    """One thread sends and another one receives all the time; each child uses the copies that it has of both ends."""
    a, b = pipe
    told, told_w = Pipe(False)
    stop, got = threading.Event(), []

    def send():
        for number in itertools.count():
            if stop.is_set():
                return a.send("end")
            a.send((number, bytes(number * 97 % 30_000)))

    def receive():
        while (message := b.recv()) != "end":
            got.append((message[0], len(message[1])))
    threads = [threading.Thread(target=send), threading.Thread(target=receive)]
    for thread in threads:
        thread.start()
    for i in range(60):
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(20)
                b.send(i)  # the way back, which the threads do not use
                told_w.send((i, b.recv()[0]))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert a.recv() == i
    stop.set()
    for thread in threads:
        thread.join()
    taken = dict(told.recv() for _ in range(60))
    assert sorted(taken) == list(range(60)) and not told.poll()
    numbers = [number for number, size in got if size == number * 97 % 30_000]
    assert numbers == sorted(numbers) and len(numbers) == len(got)
    assert sorted([*numbers, *taken.values()]) == list(range(len(got) + 60))
    told.close()
    told_w.close()


def test_the_end_reaches_a_large_family(pipe):
    """Many wait at one end, threads and processes; the last holder of the other one is killed."""
    a, b = pipe
    told, told_w = Pipe(False)

    def hold(end):
        a.close()
        told_w.send("holds")
        signal.pause()

    def receive():
        b.close()
        try:
            a.recv()
        except EOFError:
            told_w.send("EOFError")

    with running(FORK, hold, b) as holder:
        assert told.recv() == "holds"
        children = [FORK.Process(target=receive) for _ in range(4)]
        for child in children:
            child.start()
        b.close()
        ends = []
        threads = [threading.Thread(target=lambda: ends.append(a.poll(None))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for child in children:
            assert wait_until(lambda: asleep(child.pid), 20)  # noqa: B023
        for thread in threads:
            assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)  # noqa: B023
        holder.kill()
        assert [told.recv() for _ in children] == ["EOFError"] * 4
        for one in threads + children:
            one.join()
        assert ends == [True] * 4
    told.close()
    told_w.close()
