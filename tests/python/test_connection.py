"""Connections: what they do, next to the standard library's; sizes, errors, kinds of messages."""
import array
import gc
import itertools
import multiprocessing
import multiprocessing.connection
import os
import pickle
import random
import select
import signal
import sys
import threading
import time

import pytest
from crew import asleep, n_threads, open_descriptors

import cmp
from cmp import connection, reduction
from conftest import wait_until

PIPES = {"std": multiprocessing.connection.Pipe, "cmp": connection.Pipe}
LARGEST = (1 << 16) // 4 - 8  # of a message that is in a ring as a whole
SIZES = [0, 1, 2, 7, 8, 9, 127, 128, 129, LARGEST - 1, LARGEST, LARGEST + 1, 1 << 16, (1 << 16) + 1, (1 << 20) + 3]


@pytest.fixture(params=PIPES)
def pipe(request):
    ends = PIPES[request.param]()
    yield ends
    for end in ends:
        end.close()


@pytest.fixture(params=PIPES)
def one_way(request):
    ends = PIPES[request.param](False)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def native():
    ends = connection.Pipe()
    yield ends
    for end in ends:
        end.close()


def pattern(size):
    return random.Random(size).randbytes(size)


# ---- as the standard library's ----


def test_is_a_connection(pipe):
    for end in pipe:
        assert isinstance(end, multiprocessing.connection.Connection) and isinstance(end, connection.Connection)
        assert repr(end).startswith("<multiprocessing.connection.Connection object at 0x")
        assert end.readable is end.writable is True and end.closed is False


def test_objects_both_ways(pipe):
    a, b = pipe
    for value in (None, True, 17, -1 << 100, 1.5, 2j, "text", "\udc80", b"bytes", bytearray(b"x"), (1, [2, {3: {4}}]),
                  range(3), ValueError("x"), OSError(2, "no"), {"a": [None] * 100}, frozenset("a")):
        for sender, receiver in ((a, b), (b, a)):
            assert sender.send(value) is None
            got = receiver.recv()
            assert repr(got) == repr(value) and type(got) is type(value)


def in_background(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


@pytest.mark.parametrize("size", SIZES)
def test_sizes(pipe, size):
    a, b = pipe
    data = pattern(size)
    into = bytearray(size + 5)
    sender = in_background(lambda: [a.send_bytes(data), a.send(data), a.send_bytes(memoryview(data)), a.send("end")])
    assert b.recv_bytes() == data
    assert b.recv() == data
    assert b.recv_bytes_into(into, 5) == size and bytes(into) == bytes(5) + data
    assert b.recv() == "end"
    sender.join()


def test_hundred_megabytes(native):
    a, b = native
    data = bytes(range(256)) * 400_000
    for send, receive in ((a.send_bytes, b.recv_bytes), (a.send, b.recv)):
        sender = in_background(send, data)
        assert receive() == data
        sender.join()


def test_what_is_sent_as_one_kind_is_received_as_the_other(pipe):
    a, b = pipe
    for value in (1, "text", {"a": (1, 2)}, range(5)):
        a.send(value)
        assert pickle.loads(b.recv_bytes()) == value
        a.send_bytes(pickle.dumps(value))
        assert b.recv() == value
    into = bytearray(1000)
    a.send([1, 2, 3])
    assert pickle.loads(into[:b.recv_bytes_into(into)]) == [1, 2, 3]


def test_send_bytes_takes_a_part(pipe):
    a, b = pipe
    for args, wanted in (((b"abcdef",), b"abcdef"), ((b"abcdef", 2), b"cdef"), ((b"abcdef", 2, 3), b"cde"),
                         ((b"abcdef", 6), b""), ((b"abcdef", 0, 0), b""), ((b"abcdef", 1, None), b"bcdef"),
                         ((array.array("i", [1, 2]),), array.array("i", [1, 2]).tobytes()),
                         ((array.array("i", [1, 2]), 4, 2), array.array("i", [1, 2]).tobytes()[4:6])):
        a.send_bytes(*args)
        assert b.recv_bytes() == wanted
    a.send_bytes(buf=b"abc", offset=1, size=1)
    assert b.recv_bytes(maxlength=1) == b"b"


@pytest.mark.parametrize(("args", "text"), [
    ((b"abc", -1), "offset is negative"),
    ((b"abc", 4), "buffer length < offset"),
    ((b"abc", 1, -1), "size is negative"),
    ((b"abc", 1, 3), "buffer length < offset + size"),
    ((b"abc", 4, 10), "buffer length < offset"),
])
def test_send_bytes_refuses(pipe, args, text):
    a, b = pipe
    with pytest.raises(ValueError) as caught:
        a.send_bytes(*args)
    assert str(caught.value) == text
    assert b.poll() is False


@pytest.mark.parametrize("what", ["text", 5, None])
def test_send_bytes_wants_bytes(pipe, what):
    with pytest.raises(TypeError):
        pipe[0].send_bytes(what)
    assert pipe[1].poll() is False


def test_maxlength(pipe):
    a, b = pipe
    with pytest.raises(ValueError, match="negative maxlength"):
        b.recv_bytes(-1)
    a.send_bytes(b"abc")
    assert b.recv_bytes(3) == b"abc"
    a.send_bytes(b"abcd")
    with pytest.raises(OSError, match=r"^bad message length$"):
        b.recv_bytes(3)
    assert b.readable is False and b.closed is False
    with pytest.raises(OSError, match="connection is write-only"):
        b.recv_bytes()


def test_maxlength_closes_what_only_receives(one_way):
    reader, writer = one_way
    writer.send_bytes(b"abcd")
    with pytest.raises(OSError, match="bad message length"):
        reader.recv_bytes(0)
    assert reader.closed


def test_recv_bytes_into(pipe):
    a, b = pipe
    into = bytearray(6)
    for args, text in (((into, -1), "negative offset"), ((into, 7), "offset too large")):
        with pytest.raises(ValueError, match=text):
            b.recv_bytes_into(*args)
    a.send_bytes(b"abcd")
    assert b.recv_bytes_into(into, 2) == 4 and into == b"\0\0abcd"
    a.send_bytes(b"12345678")
    with pytest.raises(multiprocessing.BufferTooShort) as caught:
        b.recv_bytes_into(into)
    assert caught.value.args == (b"12345678",) and into == b"\0\0abcd"
    a.send_bytes(b"12345")
    with pytest.raises(multiprocessing.BufferTooShort):
        b.recv_bytes_into(into, 2)
    numbers = array.array("i", [0] * 4)
    a.send_bytes(array.array("i", [5, 6]))
    assert b.recv_bytes_into(numbers, numbers.itemsize) == 2 * numbers.itemsize and list(numbers) == [0, 5, 6, 0]


def test_one_way(one_way):
    reader, writer = one_way
    assert (reader.readable, reader.writable, writer.readable, writer.writable) == (True, False, False, True)
    for call in (lambda: reader.send(1), lambda: reader.send_bytes(b"")):
        with pytest.raises(OSError, match="connection is read-only"):
            call()
    for call in (writer.recv, writer.recv_bytes, writer.poll, lambda: writer.recv_bytes_into(bytearray(1))):
        with pytest.raises(OSError, match="connection is write-only"):
            call()
    writer.send("x")
    assert reader.recv() == "x"


def test_closed(pipe):
    a = pipe[0]
    with a as same:
        assert same is a
    assert a.closed is True
    a.close()
    for call in (a.recv, a.recv_bytes, a.poll, a.fileno, lambda: a.send(1), lambda: a.send_bytes(b""),
                 lambda: a.recv_bytes_into(bytearray(1)), lambda: a.send_bytes("no bytes"), a.__reduce__):
        if call == a.__reduce__ and type(a) is multiprocessing.connection.Connection:
            continue
        with pytest.raises(OSError, match=r"^handle is closed$"):
            call()


def test_the_other_end_is_closed(pipe):
    a, b = pipe
    a.send(1)
    a.send_bytes(b"2")
    a.close()
    assert b.poll() is True and b.recv() == 1
    assert b.recv_bytes() == b"2"
    assert b.poll() is True and b.poll(None) is True
    for call in (b.recv, b.recv_bytes, lambda: b.recv_bytes_into(bytearray(1))):
        with pytest.raises(EOFError) as caught:
            call()
        assert caught.value.args == ()
    for call in (lambda: b.send(1), lambda: b.send_bytes(b"x"), lambda: b.send_bytes(bytes(1 << 20))):
        with pytest.raises(BrokenPipeError):
            call()


def test_a_waiting_recv_sees_the_end(pipe):
    a, b = pipe
    raised = []

    def receive():
        try:
            b.recv()
        except EOFError:
            raised.append("EOFError")
    thread = in_background(receive)
    assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
    a.close()
    thread.join()
    assert raised == ["EOFError"]


def test_poll(pipe):
    a, b = pipe
    assert b.poll() is b.poll(0) is b.poll(-1) is b.poll(0.01) is b.poll(timeout=0.0) is False
    a.send_bytes(b"")
    assert b.poll() is b.poll(None) is b.poll(10) is True
    assert b.recv_bytes() == b"" and b.poll() is False
    with pytest.raises(TypeError):
        b.poll("soon")


def test_poll_is_woken(pipe):
    a, b = pipe
    found = []
    thread = in_background(lambda: found.append(b.poll(None)))
    assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
    a.send(1)
    thread.join()
    assert found == [True] and b.recv() == 1


# ---- beyond that ----


class Unpicklable:
    def __reduce__(self):
        raise ZeroDivisionError


class Unloadable:
    def __reduce__(self):
        return divmod, (1, 0)


def test_what_cannot_be_pickled_is_not_sent(native):
    a, b = native
    for value in (Unpicklable(), [1, Unpicklable()], (bytes(1 << 20), Unpicklable())):
        with pytest.raises(ZeroDivisionError):
            a.send(value)
        assert b.poll() is False
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        a.send(lambda: 1)
    a.send("next")
    assert b.recv() == "next" and cmp.check() == []


def test_what_cannot_be_unpickled_is_gone_alone(native):
    a, b = native
    a.send(Unloadable())
    a.send((bytes(1 << 20), Unloadable()))
    a.send_bytes(b"no pickle")
    a.send("next")
    for error in (ZeroDivisionError, ZeroDivisionError, pickle.UnpicklingError):
        with pytest.raises(error):
            b.recv()
    assert b.recv() == "next" and b.poll() is False and cmp.check() == []


def test_many_messages_are_sent_before_one_is_received():
    """No fewer than a socket would take: programs rely on that."""
    for size in (10, 100, 500, 1000, 4000, 20_000):
        counts = []
        for make in PIPES.values():
            a, b = make()
            data, n = bytes(size), 0
            done, looked = threading.Event(), threading.Event()

            def send(a=a, data=data, counts=counts, done=done, looked=looked):
                n = 0
                try:
                    while n < 400:
                        a.send_bytes(data)
                        n += 1
                        counts[-1] = n
                except OSError:
                    pass
                done.set()
                looked.wait(60)  # it is there to be looked at until then
            counts.append(0)
            thread = in_background(send)
            assert wait_until(lambda: done.is_set() or asleep(os.getpid(), thread.native_id), 20)  # noqa: B023
            looked.set()
            n = counts[-1]
            b.close()
            thread.join()
            a.close()
            counts[-1] = n
        assert counts[1] >= counts[0], (size, counts)


@pytest.mark.parametrize("size, most", [(2 << 20, 4), ((2 << 20) + 1, 0), (8 << 20, 0)])
def test_large_messages_are_not_sent_far_ahead(native, size, most):
    a, b = native
    sent = []

    def send():
        for i in range(20):
            a.send_bytes(bytes([i]) * size)
            sent.append(i)
    thread = in_background(send)
    assert wait_until(lambda: asleep(os.getpid(), thread.native_id), 20)
    assert len(sent) <= most
    for i in range(20):
        assert b.recv_bytes() == bytes([i]) * size
    thread.join()


def test_a_large_message_whose_receiver_goes_is_not_sent(native):
    a, b = native
    outcome = []

    def send():
        with pytest.raises(BrokenPipeError) as raised:
            a.send_bytes(bytes(8 << 20))
        outcome.append(raised.type)
    a.send("before")
    sender = in_background(send)
    assert wait_until(lambda: asleep(os.getpid(), sender.native_id), 20)
    assert b.recv() == "before"
    b.close()
    sender.join()
    assert outcome == [BrokenPipeError]
    with pytest.raises(BrokenPipeError):
        a.send("after")
    assert cmp.check() == []


def test_dumps_and_loads_of_ones_own(native):
    a, b = native
    a.dumps = lambda obj: b"<" + repr(obj).encode() + b">"
    b.loads = lambda data: bytes(data).decode()
    a.send([1, "x"])
    a.send("y" * 100_000)
    assert b.recv() == "<[1, 'x']>"
    assert b.recv() == "<'" + "y" * 100_000 + "'>"
    a.dumps = b.loads = None
    a.send([1])
    assert b.recv() == [1]


def arrays():
    np = pytest.importorskip("numpy")
    big = np.arange(300_000, dtype="i4").reshape(300, 1000)
    record = np.zeros(5000, [("a", "i4"), ("b", "f8", 3), ("c", "S5")])
    record["a"] = np.arange(5000)
    frozen = np.arange(100_000.0)
    frozen.flags.writeable = False
    return {"small": np.arange(5), "large": big, "Fortran": np.asfortranarray(big), "strided": big[::2, ::3],
            "reversed": big[::-1], "empty": np.zeros((0, 4)), "0-d": np.array(3.5), "structured": record,
            "read-only": frozen, "big-endian": big.astype(">i4"), "bool": big > 5,
            "datetime": np.arange(10_000).astype("M8[s]"), "objects": np.array([1, "a", None], object)}


@pytest.mark.parametrize("name", ["small", "large", "Fortran", "strided", "reversed", "empty", "0-d", "structured",
                                  "read-only", "big-endian", "bool", "datetime", "objects"])
def test_arrays(native, name):
    import numpy as np
    a, b = native
    value = arrays()[name]
    sender = in_background(lambda: [a.send(value), a.send({"x": value, "y": (value, value)})])
    got, more = b.recv(), b.recv()
    sender.join()
    assert more["y"][0] is more["y"][1] is more["x"]
    plain = pickle.loads(pickle.dumps(value, 5))
    for one in (got, more["x"]):
        np.testing.assert_array_equal(one, value)
        assert (one.dtype, one.shape, one.strides) == (plain.dtype, plain.shape, plain.strides)
        assert one.flags.f_contiguous == plain.flags.f_contiguous
    if got.size and name != "read-only":
        got[...] = got[...]  # it is the receiver's own
    assert value.flags.writeable == (name != "read-only")


def test_many_buffers(native):
    a, b = native
    value = [bytes([i]) * 40_000 for i in range(100)]
    sender = in_background(a.send, value)
    assert b.recv() == value
    sender.join()


# ---- nothing is left ----


def test_ten_thousand_pipes():
    def make(n):
        for _ in range(n):
            a, b = connection.Pipe()
            a.send(1)
            assert b.recv() == 1
            a.close()
            b.close()
    make(100)
    fds, threads = open_descriptors(), n_threads()
    make(10_000)
    assert open_descriptors() == fds and n_threads() == threads
    assert cmp.check() == []


def test_dropped_pipes_are_closed():
    fds = open_descriptors()
    a, b = connection.Pipe()
    b.send(1)
    del a
    gc.collect()
    with pytest.raises(BrokenPipeError):
        b.send(2)
    del b
    assert open_descriptors() == fds


def test_no_references_are_lost(native):
    a, b = native
    value, data = [object, "x" * 50_000], bytearray(50_000)
    into = bytearray(100_000)

    def use():
        a.send(value), b.recv()
        a.send_bytes(data), b.recv_bytes()
        a.send_bytes(data), b.recv_bytes_into(into)
        a.send(value), b.recv_bytes()
        b.poll(), b.fileno(), connection.wait([a, b], 0)
        for bad in (lambda: a.send(Unpicklable()), lambda: a.send_bytes(data, -1), lambda: b.recv_bytes(-1),
                    lambda: b.recv_bytes_into(b"x")):
            with pytest.raises((ZeroDivisionError, ValueError, TypeError)):
                bad()
    use()
    before = [sys.getrefcount(one) for one in (value, data, into, value[1])]
    blocks = []
    for _ in range(5):
        for _ in range(50):
            use()
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert [sys.getrefcount(one) for one in (value, data, into, value[1])] == before
    assert min(after - before for before, after in itertools.pairwise(blocks)) < 50
    data.append(1)  # nobody has a view of it


# ---- signals ----


@pytest.mark.parametrize("what", ["recv", "send", "poll"])
def test_signals(native, what):
    """A handler that returns does not end the call; one that raises does, and nothing is lost."""
    a, b = native
    came = []

    def handler(*_):
        came.append(1)
        if len(came) == 3:
            raise InterruptedError("by the handler")
    calls = {"recv": b.recv, "poll": lambda: b.poll(None),
             "send": lambda: [a.send_bytes(b"12345678" * 50) for _ in range(100_000)]}
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        pid = os.fork()
        if pid == 0:
            for _ in range(300):  # on a busy machine several may be seen as one
                time.sleep(0.1)
                os.kill(os.getppid(), signal.SIGUSR1)
            os._exit(0)
        with pytest.raises(InterruptedError, match="by the handler"):
            calls[what]()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(came) >= 3
    n = 0
    while b.poll():
        assert b.recv_bytes() == b"12345678" * 50
        n += 1
    assert (n > 100) == (what == "send")
    a.send("goes on")
    assert b.recv() == "goes on"


def test_descriptors_of_send_handle_go_beside_the_messages(pipe):
    a, b = pipe
    ours, theirs = os.pipe()
    b.fileno()  # from here on each message is told of in the socket too
    for n in range(3):
        reduction.send_handle(a, theirs, os.getpid())
        assert connection.wait([b], 20) == [b]
        got = reduction.recv_handle(b)
        os.write(got, b"%d" % n)
        os.close(got)
        assert os.read(ours, 10) == b"%d" % n
        assert connection.wait([b], 0) == []
        a.send(n)
        assert connection.wait([b], 20) == [b] and b.recv() == n
    os.close(ours)
    os.close(theirs)


# ---- what goes wrong in the middle ----


class Refuses(connection.PipeEnd):
    @property
    def label(self):
        return None

    @label.setter
    def label(self, value):
        raise ZeroDivisionError


@pytest.mark.parametrize("attributes, error", [(5, ValueError), ((None, {"label": 1}), ZeroDivisionError)])
def test_an_end_whose_state_is_refused(native, attributes, error):
    a, b = native
    family, ref, _ = a._place()[0]
    end = cmp._cmp.Connection.__new__(Refuses)
    with pytest.raises(error):
        end.__setstate__((family, ref, attributes, -1))
    with pytest.raises(OSError):
        end.send(1)
    end.close()
    del end
    gc.collect()
    a.send("still there")
    assert b.recv() == "still there"
    a.close()
    with pytest.raises(EOFError):
        b.recv()
    assert cmp.check() == []


def test_send_takes_a_keyword_and_contiguous_buffers(pipe):
    a, b = pipe
    a.send(obj=1)
    assert b.recv() == 1
    with pytest.raises(TypeError):
        a.send_bytes(memoryview(bytes(10))[::2])
    a.send_bytes(b"next")
    with pytest.raises(TypeError):
        b.recv_bytes_into(memoryview(bytearray(10))[::2])
    if isinstance(b, cmp._cmp.Connection):
        assert b.recv_bytes() == b"next"


def test_what_only_sends_is_not_readable(one_way):
    r, w = one_way
    assert select.select([w], [], [], 0)[0] == [] and connection.wait([w], 0.01) == []
    w.send(1)
    assert select.select([r, w], [], [], 20)[0] == [r] and r.recv() == 1
    r.close()
    assert select.select([w], [], [], 20)[0] == [w] and connection.wait([w], 20) == [w]


class CountsLoads:
    n = 0

    def __setstate__(self, state):
        CountsLoads.n += 1

    def __getstate__(self):
        return bytes(100)


def test_too_short_a_buffer_reads_an_object_once(native):
    a, b = native
    a.send(CountsLoads())
    before = CountsLoads.n
    with pytest.raises(multiprocessing.BufferTooShort) as caught:
        b.recv_bytes_into(bytearray(1))
    assert CountsLoads.n == before + 1 and isinstance(pickle.loads(caught.value.args[0]), CountsLoads)


def in_handler(seconds, function):
    """Call function in a signal handler, so many seconds from now."""
    before = signal.signal(signal.SIGALRM, lambda *_: function())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return before


@pytest.mark.parametrize("call", ["recv", "poll", "send_bytes"])
def test_a_handler_closes_what_its_thread_waits_for(native, call):
    a, b = native
    before = in_handler(0.05, a.close)
    try:
        with pytest.raises(OSError, match="handle is closed"):
            getattr(a, call)(*{"recv": (), "poll": (None,), "send_bytes": (bytes(3 << 20),)}[call])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert a.closed
    if call == "send_bytes":  # it was sent, and not waited for
        assert b.recv_bytes() == bytes(3 << 20)
    with pytest.raises(EOFError):
        b.recv()


def test_the_child_of_a_handler_closes_what_it_does_not_wait_for(native):
    a, b = native
    parent, children = os.getpid(), []

    def fork():
        pid = os.fork()
        if pid == 0:
            a.close()
            b.close()
        else:
            children.append(pid)
            a.send("of the parent")
    before = in_handler(0.05, fork)
    try:
        got = b.recv()
    except OSError:
        os._exit(0 if os.getpid() != parent else 1)
    finally:
        if os.getpid() == parent:
            signal.signal(signal.SIGALRM, before)
    if os.getpid() != parent:
        os._exit(2)
    assert got == "of the parent" and os.waitpid(children[0], 0)[1] == 0


def test_forks_while_pipes_are_closed():
    """What is closed when the child begins, the child does not hold; or it can close it."""
    current, peers, children = [None], [], []
    done_r, done_w = os.pipe()

    def fork():
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                end = current[0]
                if end is not None:
                    end.close()
                os.write(done_w, b"x")
                time.sleep(100)
                os._exit(0)
            children.append(pid)
            time.sleep(0.002)
    thread = in_background(fork)
    while thread.is_alive():
        a, b = connection.Pipe()
        current[0] = a
        a.close()
        current[0] = None
        peers.append(b)
        if len(peers) > 200:
            peers.pop(0).close()
    thread.join()
    del a
    n = 0
    while n < len(children):
        n += len(os.read(done_r, 100))
    open_ones = [end for end in peers if not end.poll()]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(done_r)
    os.close(done_w)
    # A fork between Pipe() and the line after it: of this program, not of close().
    assert len(open_ones) <= 2


def receive_for_ever(end):
    while True:
        end.recv_bytes()


def send_for_ever(end):
    while True:
        end.send_bytes(bytes(16_000))


def test_wait_keeps_its_time_while_one_who_receives_is_stopped():
    ctx = cmp.get_context("fork")
    r, w = connection.Pipe(False)
    near, far = connection.Pipe()
    far.send(1)
    crew = [ctx.Process(target=receive_for_ever, args=(r,), daemon=True),
            ctx.Process(target=send_for_ever, args=(w,), daemon=True)]
    for one in crew:
        one.start()
    for _ in range(60):
        os.kill(crew[0].pid, signal.SIGSTOP)
        time.sleep(0.001)
        assert near in connection.wait([near, r], 0.05) and r.fileno() >= 0
        os.kill(crew[0].pid, signal.SIGCONT)
        time.sleep(0.002)
    for one in crew:
        one.kill()
        one.join()
