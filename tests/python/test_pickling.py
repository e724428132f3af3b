"""Objects travel: to a child, through queues, pipes and pools, by hand; and what is stale, foreign or forged raises."""
import contextlib
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.reduction import ForkingPickler

import pytest
from crew import KINDS, arena_bytes, run_program, running

import cmp
from conftest import wait_until

EVERY = pytest.mark.parametrize("kind", KINDS)
METHODS = ("fork", "spawn", "forkserver")


def touch(made):
    """Do something with it that others can see; untouched() tells whether that has been done."""
    kind = type(made).__name__
    if kind == "Event":
        made.set()
    elif kind == "Barrier":
        made.abort()
    else:
        made.acquire()


def touched(made):
    kind = type(made).__name__
    if kind == "Event":
        return made.is_set()
    if kind == "Barrier":
        return made.broken
    if made.acquire(False):
        made.release()
        return False
    return True


def untouch(made):
    kind = type(made).__name__
    if kind == "Event":
        made.clear()
    elif kind == "Barrier":
        made.reset()
    else:
        made.release()


@pytest.fixture
def made(kind):
    return KINDS[kind](cmp)


def touch_and_stay(made, told, go):
    touch(made)
    told.put((type(made).__module__, type(made).__name__))
    go.wait()
    untouch(made)


def see_it_move(made, start, *args):
    """start(*args) has a child do touch_and_stay; both sides see one object."""
    ctx = cmp.get_context("fork")
    told, go = ctx.SimpleQueue(), ctx.Event()
    assert not touched(made)
    process = start(made, told, go, *args)
    assert told.get() == ("cmp.synchronize", type(made).__name__)
    assert in_thread(touched, made)
    go.set()
    process.join()
    assert not touched(made)


def in_thread(function, *args):
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*args)))
    thread.start()
    thread.join()
    return result[0]


@EVERY
def test_as_an_argument_under_every_start_method(ctx, made):
    def start(*args):
        process = ctx.Process(target=touch_and_stay, args=args)
        process.start()
        return process
    see_it_move(made, start)


@EVERY
@pytest.mark.parametrize("maker", METHODS)
def test_objects_know_no_context(ctx, kind, maker):
    """gh-119413, gh-107275: made in one context, given to a child of another."""
    def start(*args):
        process = ctx.Process(target=touch_and_stay, args=args)
        process.start()
        return process
    see_it_move(KINDS[kind](cmp.get_context(maker)), start)


def receive_from_connection(connection, told, go):
    touch_and_stay(connection.recv(), told, go)


@EVERY
@pytest.mark.parametrize("way", ["Queue", "JoinableQueue", "SimpleQueue", "Pipe"])
def test_through_queues_and_pipes(ctx, made, way):
    if way == "Pipe":
        theirs, ours = ctx.Pipe()
        target, args, put = receive_from_connection, (theirs,), ours.send
    else:
        queue = getattr(ctx, way)()
        target, args, put = receive_from_queue, (queue,), queue.put

    def start(made, told, go):
        process = ctx.Process(target=target, args=(*args, told, go))
        process.start()
        put(made)
        return process
    # told and go cross to a child of any method: they are cmp's own
    see_it_move(made, start)
    if way == "Pipe":
        theirs.close()
        ours.close()
    elif way != "SimpleQueue":
        queue.close()
        queue.join_thread()


def receive_from_queue(queue, told, go):
    touch_and_stay(queue.get(), told, go)


def touch_in_worker(made):
    touch(made)
    return made


@EVERY
def test_as_an_argument_and_a_result_of_a_pool(ctx, made):
    with ctx.Pool(2) as pool:
        same = pool.apply_async(touch_in_worker, (made,)).get(60)
        assert in_thread(touched, made) and in_thread(touched, same)
        assert pool.map(kind_of, [made] * 5) == [type(made).__name__] * 5
        pool.close()
        pool.join()


def kind_of(made):
    return type(made).__name__


WORKERS = None


def keep(made):
    global WORKERS
    WORKERS = made


def use_kept(number):
    with WORKERS:
        return number * 2


def test_as_initargs_of_a_pool(ctx):
    lock = ctx.Lock()
    with ctx.Pool(2, keep, (lock,)) as pool:
        assert pool.map(use_kept, range(20), chunksize=1) == [2 * number for number in range(20)]
        pool.close()
        pool.join()
    assert not lock.locked()


@EVERY
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_by_hand(made, protocol):
    same = pickle.loads(pickle.dumps(made, protocol))
    assert same is not made and type(same) is type(made)
    touch(same)
    assert in_thread(touched, made)
    untouch(same)
    assert not touched(made)


@EVERY
def test_forking_pickler_and_copy(made):
    for same in (pickle.loads(ForkingPickler.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        touch(same)
        assert in_thread(touched, made)
        untouch(same)


def test_an_rlock_that_travels_is_held_by_the_same_thread():
    lock = cmp.RLock()
    with lock:
        same = pickle.loads(pickle.dumps(lock))
        assert same.acquire(False)
        same.release()
        assert repr(same) == "<RLock(MainProcess, 1)>"
        assert not in_thread(same.acquire, False)
    assert not same.locked()


def test_a_condition_keeps_its_lock():
    lock = cmp.Lock()
    condition = cmp.Condition(lock)
    again, same = pickle.loads(pickle.dumps((lock, condition)))
    with same:
        assert lock.locked() and again.locked()
        assert condition.acquire(False) is False

    def notify():
        with condition:
            condition.notify()
    with same:
        thread = threading.Thread(target=notify)
        thread.start()
        assert same.wait(30) is True
    thread.join()


ACTIONS = []


def act():
    ACTIONS.append(1)


def test_a_barrier_keeps_its_action_and_timeout():
    barrier = cmp.Barrier(2, act, timeout=0.05)
    same = pickle.loads(pickle.dumps(barrier))
    thread = threading.Thread(target=barrier.wait, args=(60,))
    thread.start()
    assert same.wait(60) in (0, 1)
    thread.join()
    assert len(ACTIONS) == 1 and same.parties == 2
    with pytest.raises(threading.BrokenBarrierError):
        same.wait()
    assert barrier.broken
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(cmp.Barrier(2, lambda: None))


class Note(cmp.synchronize.Lock):
    def __init__(self, note):
        super().__init__(ctx=cmp.get_context())
        self.note = note


class Slotted(cmp.synchronize.Event):
    __slots__ = ("slot",)


def test_subclasses_travel_with_their_attributes(ctx):
    """For the standard library they get lost."""
    note, slotted = Note(["of", "mine"]), Slotted(ctx=cmp.get_context())
    slotted.slot = 5
    queue = ctx.SimpleQueue()
    with running(ctx, give_back, note, slotted, queue) as process:
        assert queue.get() == ("Note", ["of", "mine"], True, "Slotted", 5)
        same = queue.get()
        assert same.note == ["of", "mine"] and type(same) is Note
        assert note.acquire(False) and not same.acquire(False)
        process.join()


def give_back(note, slotted, queue):
    queue.put((type(note).__name__, note.note, note.acquire(False), type(slotted).__name__, slotted.slot))
    note.release()
    queue.put(note)
    while not note.locked():  # as long as this process lives its pickle is good
        time.sleep(0.001)


# How long a pickle is good

@EVERY
def test_the_creator_drops_it_right_after_start(ctx, kind):
    """gh-94765: FileNotFoundError in the child, which found nothing any more."""
    for _ in range(3):
        told, go = ctx.SimpleQueue(), ctx.Event()
        process = ctx.Process(target=touch_and_stay, args=(KINDS[kind](ctx), told, go))
        process.start()
        process._args = ()
        others = [KINDS[kind](ctx) for _ in range(20)]  # cells are used again
        go.set()
        assert told.get()[1] == kind
        process.join()
        assert process.exitcode == 0
        assert not any(touched(other) for other in others)


def pass_on(ctx, made, depth, told):
    """Each generation starts the next one, and ends before that has looked at anything."""
    if depth:
        ctx.Process(target=pass_on, args=(ctx, made, depth - 1, told), daemon=False).start()
    else:
        touch(made)
        told.put("touched")


@EVERY
def test_what_was_received_goes_on(ctx, made):
    """gh-108520: a child gives to its child what it was given."""
    told = ctx.SimpleQueue()
    with running(ctx, pass_on, ctx, made, 2, told) as process:
        assert told.get() == "touched"
        process.join()


@EVERY
def test_a_pickle_keeps_it_while_its_maker_lives(kind):
    """Nobody has the object any more, only its pickle: as long as this process lives it is there."""
    made = KINDS[kind](cmp)
    touch(made)
    data = pickle.dumps(made)
    del made
    others = [KINDS[kind](cmp) for _ in range(100)]
    same = pickle.loads(data)
    assert in_thread(touched, same)
    assert not any(touched(other) for other in others)
    del same
    assert in_thread(touched, pickle.loads(data))


def make_and_send(kind, connection, how):
    made = KINDS[kind](cmp)
    connection.send_bytes(pickle.dumps(made))
    connection.recv_bytes()
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)


@EVERY
@pytest.mark.parametrize("how", ["exit", "SIGKILL"])
def test_a_stale_pickle_raises(ctx, kind, how):
    """Its maker has ended, and nobody else has loaded it."""
    theirs, ours = ctx.Pipe()
    with running(ctx, make_and_send, kind, theirs, how) as process:
        data = ours.recv_bytes()
        touched(pickle.loads(data))
        ours.send_bytes(b"end")
        process.join()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="gone"):
            pickle.loads(data)
    others = [KINDS[kind](cmp) for _ in range(200)]  # its cell may be somebody's by now
    with pytest.raises(RuntimeError, match="gone"):
        pickle.loads(data)
    assert others
    theirs.close()
    ours.close()


@EVERY
def test_what_was_loaded_outlives_its_maker(ctx, kind):
    theirs, ours = ctx.Pipe()
    with running(ctx, make_and_send, kind, theirs, "SIGKILL") as process:
        data = ours.recv_bytes()
        mine = pickle.loads(data)
        ours.send_bytes(b"end")
        process.join()
    others = [KINDS[kind](cmp) for _ in range(200)]
    touch(mine)
    assert in_thread(touched, mine) and not any(touched(other) for other in others)
    again = pickle.loads(pickle.dumps(mine))
    assert in_thread(touched, again)
    theirs.close()
    ours.close()


@EVERY
def test_another_family_is_refused(tmp_path, kind):
    """A program that was not started by this one's family, and one that knows nothing of cmp's arena yet."""
    made = KINDS[kind](cmp)
    (tmp_path / "pickle").write_bytes(pickle.dumps(made))
    for first in ("", "cmp.Lock()"):
        printed = run_program(tmp_path, f"""
import pickle, cmp
{first}
try:
    print(pickle.load(open("pickle", "rb")))
except RuntimeError as error:
    print("another family" in str(error))
""")
        assert printed == ["True"]


def test_a_program_that_a_child_turned_into_is_no_member(tmp_path):
    """os.exec*: what it inherits is no access."""
    printed = run_program(tmp_path, """
import cmp, os, pickle, sys
if len(sys.argv) > 1:
    inherited = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                 if os.path.islink(f"/proc/self/fd/{name}")]
    print(any("memfd:cmp" in target for target in inherited))
    try:
        pickle.loads(bytes.fromhex(sys.argv[1]))
    except RuntimeError:
        print("refused")
else:
    lock = cmp.Lock()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, __file__, pickle.dumps(lock).hex()])
""")
    assert printed == ["False", "refused"]


# Forged

def state_of(made):
    """(family, reference, attributes...): what stands in a pickle."""
    return made.__reduce__()[2]


def bare(made):
    return type(made).__new__(type(made))


@EVERY
def test_forged_states_raise(made):
    state = state_of(made)
    family, reference = state[:2]
    wrong = [None, (), (1, 2, 3), state[:-1], (*state, 1), (family, "1", *state[2:]), (family, -1, *state[2:]),
             (family, 2**64, *state[2:]), (family, 0, *state[2:]), (family, 2**64 - 1, *state[2:]),
             (b"", reference, *state[2:]), (b"x" * 16, reference, *state[2:]), (family + b"x", reference, *state[2:]),
             ("x" * 16, reference, *state[2:]), (family, 1.5, *state[2:]), [*state]]
    for forged in wrong:
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            bare(made).__setstate__(forged)
    assert not touched(made)
    assert cmp.check() == []


@EVERY
def test_references_to_something_else_raise(kind):
    """Another type's object, one that is gone, and numbers from nowhere."""
    made = KINDS[kind](cmp)
    state = state_of(made)

    def refused(reference):
        with pytest.raises((ValueError, RuntimeError)):
            bare(made).__setstate__((state[0], reference, *state[2:]))
    for other in KINDS:
        if other != kind and {other, kind} != {"Semaphore", "BoundedSemaphore"}:
            refused(state_of(KINDS[other](cmp))[1])
    for bit in range(24, 64):  # of the generation
        refused(state[1] ^ 1 << bit)
    for reference in (0, 1, 2**24 - 1, 2**40, 2**63, 2**64 - 1):
        refused(reference)
    assert not touched(made)
    assert cmp.check() == []


@EVERY
def test_a_state_is_taken_once(made):
    """Neither a second __init__ nor a second __setstate__ moves a handle to another object."""
    other = KINDS[type(made).__name__](cmp)
    with pytest.raises(RuntimeError):
        made.__setstate__(state_of(other))
    with pytest.raises((RuntimeError, TypeError)):
        made.__init__(*[3] * (type(made).__name__ == "Barrier"), ctx=cmp.get_context())
    touch(made)
    assert not touched(other)
    untouch(made)


@EVERY
def test_one_that_was_never_initialised(kind):
    """A subclass that forgot super().__init__(): an error, no crash."""
    hollow = bare(KINDS[kind](cmp))
    names = {name for base in type(hollow).__mro__ if base.__module__ == "cmp._cmp" for name in vars(base)}
    assert "__enter__" in names or "wait" in names
    for name in names - {"__dict__", "__doc__", "__module__", "__new__", "__weakref__", "__init__", "__repr__",
                         "_count"}:
        with pytest.raises((RuntimeError, TypeError)):
            getattr(hollow, name)()
    with pytest.raises(RuntimeError):
        pickle.dumps(hollow)
    with contextlib.suppress(RuntimeError, AttributeError):
        assert isinstance(repr(hollow), str)


FUZZ = """
import cmp, random, sys
sys.path[:0] = sys.argv[2:]
from crew import KINDS
made = KINDS[sys.argv[1]](cmp)
keep = [KINDS[kind](cmp) for kind in KINDS for _ in range(30)]
family, reference, *rest = made.__reduce__()[2]
random.seed(5)
found = 0
for turn in range(30_000):
    index, generation = reference & 0xffffff, reference >> 24
    index = random.choice((index, random.randrange(400), random.randrange(1 << 24)))
    generation = random.choice((generation, random.randrange(5), random.randrange(1 << 40)))
    forged = type(made).__new__(type(made))
    try:
        forged.__setstate__((family, generation << 24 | index, *rest))
    except (ValueError, RuntimeError):
        continue
    found += 1
    repr(forged)
print("alive", found > 30, cmp.check())
"""


@EVERY
def test_references_from_anywhere_do_not_crash(tmp_path, kind):
    """Numbers by chance: most are refused, some are good ones."""
    ran = subprocess.run([sys.executable, "-c", FUZZ, kind, *sys.path], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout == "alive True []\n", ran.stdout + ran.stderr


def test_pickles_by_many_threads_at_once():
    """Each travels once more than there are threads, and all are the same object."""
    event, copies = cmp.Event(), []

    def travel():
        mine = event
        for _ in range(50):
            mine = pickle.loads(pickle.dumps(mine))
        copies.append(mine)
    threads = [threading.Thread(target=travel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    event.set()
    assert len(copies) == 8 and all(made.is_set() for made in copies)


def test_a_start_that_fails_holds_nothing_back(ctx):
    """What cannot be pickled stops the start; the lock beside it is dropped all the same."""
    if ctx.get_start_method() == "fork":
        pytest.skip("nothing is pickled")
    grown = []
    for _ in range(4):
        for _ in range(60):
            with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
                ctx.Process(target=print, args=([ctx.Lock() for _ in range(100)], lambda: None)).start()
        grown.append(arena_bytes())
    assert wait_until(lambda: not cmp.active_children())
    assert grown[3] <= grown[1] + 65536, grown
