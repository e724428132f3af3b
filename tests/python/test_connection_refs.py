"""Objects that go through pipes by reference: who keeps them, until when, and what is left after deaths."""
import gc
import os
import pickle
import signal
import threading
from multiprocessing import reduction, resource_sharer
from multiprocessing.reduction import ForkingPickler

import pytest
from crew import arena_bytes, run_program, running

import cmp
from cmp import connection
from conftest import wait_until

CARGO = 29  # references that fit in a record, see way.h


@pytest.fixture
def pipe():
    ends = connection.Pipe()
    yield ends
    for end in ends:
        end.close()


def churn(number=3000):
    """Make what takes the cells of what nobody holds, which a sweep has freed."""
    for _ in range(2):
        made = [kind() for _ in range(number) for kind in (cmp.Lock, cmp.Event, cmp.Semaphore, cmp.Condition)]
    del made


def plain(what):
    return pickle.loads(ForkingPickler.dumps(what))


# What arrives

def make(kind):
    if kind == "array":
        return pytest.importorskip("numpy") and cmp.shared_array(20_000, "i8", 7)
    return {
        "Lock": cmp.Lock, "RLock": cmp.RLock, "Semaphore": cmp.Semaphore, "Event": cmp.Event,
        "Condition": cmp.Condition, "Barrier": lambda: cmp.Barrier(1), "Value": lambda: cmp.Value("i", 7),
        "RawValue": lambda: cmp.RawValue("i", 7), "Array": lambda: cmp.Array("i", [7]),
    }[kind]()


KINDS = ["Lock", "RLock", "Semaphore", "Event", "Condition", "Barrier", "Value", "RawValue", "Array", "array"]


def works(kind, got):
    if kind in ("Lock", "RLock", "Semaphore", "Condition"):
        return got.acquire(False) and got.release() is None
    if kind in ("Value", "RawValue"):
        return got.value == 7
    if kind == "Event":
        return not got.is_set() and got.set() is None and got.is_set()
    if kind == "Barrier":
        return got.wait(10) == 0
    return got[0] == 7 and got[-1] == 7


def send_and_end(end, kind, go, how):
    go.wait()
    end.send(make(kind))
    churn(10)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", ["ends", "killed"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_outlives_its_sender(kind, how, pipe):
    a, b = pipe
    ctx, go = cmp.get_context("fork"), cmp.Event()
    with running(ctx, send_and_end, b, kind, go, how) as child:
        go.set()
        child.join()
    churn()
    assert works(kind, a.recv())
    assert cmp.check() == []


def test_it_outlives_its_sender_under_every_method(ctx, pipe):
    a, b = pipe
    go = ctx.Event()
    with running(ctx, send_and_end, b, "Value", go, "killed") as child:
        go.set()
        child.join()
    churn()
    assert works("Value", a.recv())


def test_many_in_one_message_and_each_once(pipe):
    """More than a record has room for; the same one twice is the same one there."""
    a, b = pipe
    for number in (CARGO - 1, CARGO, CARGO + 1, 100):
        values = [cmp.RawValue("i", i) for i in range(number)]
        a.send((values, values[::-1], bytes(100_000) if number % 2 else b""))
        del values
        churn(300)
        first, second, _ = b.recv()
        assert [value.value for value in first] == list(range(number))
        assert all(x is y for x, y in zip(first, reversed(second), strict=True))


def test_large_messages_and_a_full_ring(pipe):
    """References beside a block of the message; small messages go by one where the ring is full."""
    a, b = pipe
    for i in range(400):
        a.send((cmp.RawValue("i", i), "x" * (100 if i % 2 else 40_000) if i < 60 else None))
        if i > 60 and i % 3:
            continue
        if i <= 60:
            value, _ = b.recv()
            assert value.value == i
    for i in range(61, 400):
        assert b.recv()[0].value == i
    assert not b.poll()


@pytest.mark.parametrize("serializer", ["pickle", "ForkingPickler", "cloudpickle"])
def test_dumps_and_loads_of_ones_own(pipe, serializer):
    a, b = pipe
    if serializer == "cloudpickle":
        module = pytest.importorskip("cloudpickle")
        dumps, loads = module.dumps, module.loads
    else:
        dumps = pickle.dumps if serializer == "pickle" else ForkingPickler.dumps
        loads = pickle.loads
    a.dumps, b.loads = dumps, loads
    for i in range(3):
        a.send([cmp.Lock(), cmp.Value("i", i)])
    churn()
    for i in range(3):
        lock, value = b.recv()
        assert works("Lock", lock) and value.value == i


def test_what_is_loaded_later(pipe):
    """A pickle inside of the object, or a loads that does not load, keeps what it names."""
    a, b = pipe
    b.loads = bytes
    a.dumps = ForkingPickler.dumps
    a.send(cmp.Value("i", 7))
    data = b.recv()
    gc.collect()
    churn()
    assert pickle.loads(data).value == 7


def test_recv_bytes_of_an_object(pipe):
    a, b = pipe
    a.send(cmp.Value("i", 7))
    data = b.recv_bytes()
    churn()
    assert pickle.loads(data).value == 7


# What stays pinned: pickles for readers whom nobody knows

def test_other_pickles_live_as_long_as_their_writer(pipe):
    a, b = pipe
    a.send_bytes(ForkingPickler.dumps(cmp.Value("i", 7)))
    gc.collect()
    churn()
    assert b.recv().value == 7
    queue = cmp.SimpleQueue()
    queue.put(cmp.Value("i", 8))
    churn()
    assert queue.get().value == 8
    queue.close()


# Messages in messages

class SendsWhilePickled:
    """Its pickle sends another message, of other objects, which has its own cargo."""

    def __init__(self, end, fails=False):
        self.end, self.fails = end, fails
        self.lock, self.value = cmp.Lock(), cmp.Value("i", 7)

    def __reduce__(self):
        self.end.send((self.value, cmp.Value("i", 8)))
        if self.fails:
            raise RuntimeError("cannot be pickled")
        return tuple, ((self.lock, cmp.Value("i", 9)),)


def test_a_message_is_sent_while_another_is_pickled(pipe):
    a, b = pipe
    inner, far = connection.Pipe()
    before = cmp.Value("i", 6)
    a.send([before, SendsWhilePickled(inner), before])
    churn()
    value, other = far.recv()
    assert (value.value, other.value) == (7, 8)
    first, (lock, third), last = b.recv()
    assert first is last and first.value == 6 and third.value == 9 and works("Lock", lock)
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        a.send([before, SendsWhilePickled(inner, True)])
    churn()
    assert [value.value for value in far.recv()] == [7, 8]
    a.send(before)
    assert b.recv().value == 6 and not b.poll()
    assert plain(before).value == 6  # pickles go their usual way again
    inner.close()
    far.close()


class StartsWhilePickled:
    def __init__(self, ctx, told):
        self.ctx, self.told = ctx, told

    def __reduce__(self):
        lock = cmp.Lock()
        process = self.ctx.Process(target=use, args=(lock, self.told))
        process.start()
        process.join()
        return tuple, ((cmp.Value("i", process.exitcode),),)


def use(lock, told):
    with lock:
        told.set()


def test_a_process_is_started_while_a_message_is_pickled(ctx, pipe):
    a, b = pipe
    told = ctx.Event()
    a.send([cmp.Value("i", 6), StartsWhilePickled(ctx, told), cmp.Value("i", 7)])
    churn()
    first, (second,), third = b.recv()
    assert told.is_set() and [first.value, second.value, third.value] == [6, 0, 7]


class ForksWhilePickled:
    """Parent and child go on with the same message: both send it, each with holds of its own."""

    def __reduce__(self):
        global forked
        forked = os.fork()
        return tuple, ((cmp.Value("i", 1 if forked == 0 else 2),),)


def test_a_fork_while_a_message_is_pickled(pipe):
    a, b = pipe
    before = cmp.Value("i", 6)
    a.send([before, ForksWhilePickled(), cmp.Value("i", 7)])
    if forked == 0:
        os._exit(0)
    assert os.waitpid(forked, 0)[1] == 0
    churn()
    sent = [b.recv(), b.recv()]
    assert sorted(message[1][0].value for message in sent) == [1, 2]
    assert all(message[0].value == 6 and message[2].value == 7 for message in sent)
    assert cmp.check() == []


def test_many_threads_pickle_at_a_time():
    failures = []

    def go(number):
        a, b = connection.Pipe()
        for i in range(150):
            made = [cmp.RawValue("i", number * 1000 + i + j) for j in range(4)]
            a.send(made)
            del made
            got = b.recv()
            if [value.value for value in got] != [number * 1000 + i + j for j in range(4)]:
                failures.append((number, i))
        a.close()
        b.close()
    threads = [threading.Thread(target=go, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and cmp.check() == []


# Memory

PROGRAM = """
import cmp, os
from cmp import connection
def arena():
    for name in os.listdir("/proc/self/fd"):
        if os.path.islink(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:cmp"):
            return os.fstat(int(name)).st_blocks * 512
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


@pytest.mark.limit(200)
@pytest.mark.parametrize("make, number, room", [
    ("cmp.Lock()", 100_000, 4 << 16),
    ("cmp.Value('i')", 20_000, 4 << 16),
    ("[cmp.Lock() for _ in range(29)]", 4_000, 4 << 16),
    ("connection.Pipe()[0]", 1_000, 4 << 20),  # of 130 KB each
])
def test_memory_stays_flat(tmp_path, make, number, room):
    """Sent again and again, and dropped at both ends: in the arena, and in both processes."""
    printed = run_program(tmp_path, PROGRAM + f"""
a, b = connection.Pipe()
if os.fork() == 0:
    a.close()
    while (got := b.recv()) is not None:
        if got == "how much":
            b.send(resident())
        del got
    os._exit(0)
b.close()
def sizes():
    a.send("how much")
    return arena(), resident(), a.recv()
def churn(number):
    for i in range(number):
        a.send({make})
        if i % 50 == 0:
            sizes()  # never more than so many are on their way
churn({number} // 5)
before = sizes()
churn({number})
after = sizes()
a.send(None)
os.wait()
grown = [x - y for x, y in zip(after, before)]
print(grown[0] <= {room}, grown[1] < 1 << 20, grown[2] < 1 << 20, cmp.check(), grown)
""", timeout=190)
    assert printed[0].startswith("True True True []"), printed


ROUNDS = 40
BIG = 1 << 19


def rounds_stay_flat(once, number=ROUNDS):
    """Nothing is left of what was on its way: the arena grows by less than a sixteenth of that, for pages of tables, or by
    what a large one, of the tests before, may grow between two sweeps."""
    once()
    before = arena_bytes()
    for _ in range(number):
        once()
    assert arena_bytes() - before < number * BIG // 16 + before // 64
    assert cmp.check() == []


def big():
    return cmp.RawArray("c", BIG)


def test_a_message_that_nobody_gets_goes_with_its_pipe():
    def once():
        a, b = connection.Pipe()
        for _ in range(3):
            a.send([big(), cmp.Lock(), connection.Pipe()[0]])
        a.close()
        b.close()
    rounds_stay_flat(once)


class Raises:
    def __reduce__(self):
        raise RuntimeError("cannot be pickled")


class RaisesThere:
    def __reduce__(self):
        return int, ("none",)


def test_what_fails_keeps_nothing(pipe):
    a, b = pipe

    def once():
        with pytest.raises(RuntimeError):
            a.send([big(), Raises()])
        a.send([big(), RaisesThere()])
        with pytest.raises(ValueError):
            b.recv()
        near, far = connection.Pipe()
        far.close()
        with pytest.raises(BrokenPipeError):
            near.send(big())
        near.close()
    rounds_stay_flat(once)


def test_an_interrupted_send_keeps_nothing():
    """A handler raises while send() waits for room."""
    class Stop(Exception):
        pass

    def handler(signum, frame):
        raise Stop

    a, b = connection.Pipe()
    before = signal.signal(signal.SIGALRM, handler)
    try:
        while True:  # until it is full
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            a.send("x" * 16_000)
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        pass

    def once():
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        try:
            with pytest.raises(Stop):
                a.send([big(), "x" * 16_000])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        rounds_stay_flat(once)
    finally:
        signal.signal(signal.SIGALRM, before)
        a.close()
        b.close()


# Deaths

class DiesWhilePickled:
    """Behind what is in the cargo by then."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class DiesWhileRead:
    def __reduce__(self):
        return die, ()


def in_child(function, *args):
    """Run it in a child that ends with it, and return its status."""
    pid = os.fork()
    if pid == 0:
        try:
            function(*args)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def test_a_sender_is_killed_before_it_has_sent(pipe):
    a, b = pipe

    def once():
        bad = DiesWhilePickled()
        assert in_child(lambda: a.send([big(), cmp.Lock(), connection.Pipe(), bad])) == signal.SIGKILL
        assert not b.poll()
    rounds_stay_flat(once)
    a.send(1)
    assert b.recv() == 1


def test_a_receiver_is_killed_while_it_reads(pipe):
    a, b = pipe

    def once():
        mine, sent = connection.Pipe()
        a.send([big(), cmp.Lock(), DiesWhileRead()])
        a.send([sent, cmp.Value("i")])
        sent.close()
        assert in_child(b.recv) == signal.SIGKILL
        with b.recv()[0] as got:  # the next message is whole
            got.send("it works")
            assert mine.recv() == "it works"
        with pytest.raises(EOFError):
            mine.recv()
        mine.close()
    rounds_stay_flat(once)


def test_an_end_is_lost_with_the_message(pipe):
    """Who waits at the other end is told: it was in the hands of who was killed, or could not read it."""
    a, b = pipe
    for bad in (DiesWhileRead(), RaisesThere()):
        mine, sent = connection.Pipe()
        pid = os.fork()
        if pid == 0:
            sent.close()
            try:
                b.recv()
            except ValueError:
                signal.pause()
            os._exit(1)
        a.send([sent, bad])
        sent.close()
        with pytest.raises(EOFError):
            mine.recv()
        mine.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert cmp.check() == []


def test_an_end_is_lost_with_its_pipe():
    mine, sent = connection.Pipe()
    a, b = connection.Pipe()
    a.send(sent)
    sent.close()
    assert not mine.poll(0.05)
    mine.send("early")
    b.close()
    a.close()
    with pytest.raises(EOFError):
        mine.recv()
    with pytest.raises(BrokenPipeError):
        mine.send("late")
    mine.close()


@pytest.mark.limit(60)
def test_the_sender_of_an_end_waits_for_no_answer(pipe):
    """Eight that have taken a descriptor and say nothing more; to wait for each took longer than this test may."""
    a, b = pipe
    silent = []
    for _ in range(8):
        parcel = connection._Parcel(a)
        silent.append(resource_sharer._resource_sharer.get_connection(parcel._id))
        os.close(reduction.recv_handle(silent[-1]))
    a.close()
    with pytest.raises(EOFError):
        b.recv()
    for conn in silent:
        conn.close()


def test_an_end_goes_to_who_is_stopped(ctx, pipe):
    """... in the middle of that; other ends go their way meanwhile."""
    a, b = pipe
    with running(ctx, receive_stopped, b) as child:
        mine, sent = connection.Pipe()
        a.send([sent, Stops()])
        sent.close()
        assert a.recv() == "about to stop"
        assert wait_until(lambda: state_of(child.pid) == "T", 20)
        near, far = connection.Pipe()
        other, travelling = connection.Pipe()
        near.send(travelling)
        near.send_bytes(ForkingPickler.dumps(travelling))
        travelling.close()
        with far.recv() as got, far.recv() as again:
            got.send(1)
            again.send(2)
            assert (other.recv(), other.recv()) == (1, 2)
        with pytest.raises(EOFError):
            other.recv()
        os.kill(child.pid, signal.SIGCONT)
        assert mine.recv() == "it came"
        for end in (mine, near, far, other):
            end.close()


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


class Stops:
    def __reduce__(self):
        return stop_here, ()


def stop_here():
    receiving.send("about to stop")
    os.kill(os.getpid(), signal.SIGSTOP)


def receive_stopped(end):
    global receiving
    receiving = end
    with end.recv()[0] as got:
        got.send("it came")
