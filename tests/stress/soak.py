"""Processes of several threads share the ends of pipes; a director kills, stops, continues and replaces them at random.

usage: soak.py [SECONDS [SEED [FAILURES]]]; it ends after so many failures, 20

A round has fresh pipes: one way of bytes, one way of objects, and one with both ways. The processes of the left side
send into all of them, those of the right side receive and answer. Each message has a number of its sender, and contents
that follow from that; what was begun, sent and received is counted in memory that the killed leave behind.
A round is some turns of disturbance. In one turn the left side alone is killed, in others the right side, both, or
nobody. After each of them all pause, what is on its way is received, and the account has to balance:
- nothing is received that was not begun, nothing twice, nothing torn; what a receiver gets of a sender is in order;
- what was sent is received, but for one message for each receiver that was killed in that turn while it took one.
At the end of a round one side is killed as a whole: the other has what was sent before that, then EOFError, and
BrokenPipeError. Also a failure: anything that hangs, an error in a worker, anything that cmp.check() finds, and memory,
objects or descriptors that become more from round to round.
"""
import contextlib
import faulthandler
import hashlib
import mmap
import os
import pickle
import random
import select
import signal
import struct
import sys
import threading
import time

os.environ.setdefault("CMP_LACKS", "backstop")  # nobody looks again from time to time: a lost wake hangs
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import cmp
from cmp import connection

try:
    import numpy
except ImportError:
    numpy = None

Pipe = connection.Pipe
STUCK_S = 20
LANES, MESSAGES = 1024, 1 << 14  # of a round: senders and receivers; and of one sender
DIRECTIONS = 4
BYTES, OBJECTS, THERE, BACK = range(DIRECTIONS)
LEFT, RIGHT = range(2)
SIDES = {LEFT: 2, RIGHT: 2}  # processes
LANES_EACH = 4
ENDED, TAKING, FREE = (1 << 40) + 1, 1, 0


class Ground:
    """What all share besides the pipes: it has no locks, and each word one writer."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 8 * (8 + LANES * 8) + 2 * LANES * MESSAGES)
        view = memoryview(self.memory)
        self.words = view[:64].cast("Q")
        lanes = view[64:64 + 64 * LANES].cast("Q")
        self.begun, self.sent, self.empty_begun, self.empty_sent, self.n_empty, self.state, self.taking, self.n_got = (
            lanes[i * LANES:(i + 1) * LANES] for i in range(8))
        tables = view[64 + 64 * LANES:]
        self.way = tables[:LANES * MESSAGES]  # of each message: 1 + the direction it was sent in
        self.times = tables[LANES * MESSAGES:]  # ... how often it was received

    @property
    def pause(self):
        return self.words[0]

    @pause.setter
    def pause(self, number):
        self.words[0] = number


n_failures = memoryview(mmap.mmap(-1, 8 * LANES)).cast("Q")  # of each lane, and of the director


def fail(text, lane=0):
    n_failures[lane] += 1
    if n_failures[lane] <= 3:
        os.write(2, f"FAILED: {text}\n".encode())


# ---- messages ----


def body_of(lane, number):
    """Of any size, and of contents that tell it from any other."""
    pick = random.Random(lane << 20 | number)
    size = pick.choice((1, 20, 20, 20, 200, 200, 1000, 4000, 15_000, 20_000, 70_000, 300_000))
    if pick.random() < 0.004:
        size = pick.randrange(1 << 20, 5 << 20)
    size = pick.randrange(size)
    pattern = hashlib.sha256(b"%d %d" % (lane, number)).digest() * 8
    return pattern * (size // len(pattern)) + pattern[:size % len(pattern)]


def raw_of(lane, number):
    return struct.pack("II", lane, number) + body_of(lane, number)


class Parcel:
    """Of no plain type."""

    def __init__(self, *inside):
        self.inside = inside


def object_of(lane, number):
    body = body_of(lane, number)
    kind = number % (6 if numpy else 5)
    if kind == 0:
        return lane, number, body
    if kind == 1:
        return {"lane": lane, "number": number, "body": bytearray(body), "more": [None, {1: 2.5}]}
    if kind == 2:
        return Parcel(lane, number, body)
    if kind == 3:
        return [lane, number, body[:1000].hex(), (body, body)]
    if kind == 4:
        return lane, number
    return Parcel(lane, number, numpy.frombuffer(body, "u1"))


def number_of(value):
    if isinstance(value, dict):
        return value["lane"], value["number"]
    return tuple(value.inside[:2] if isinstance(value, Parcel) else value[:2])


def same(value, wanted):
    if isinstance(value, Parcel):
        return type(wanted) is Parcel and same(value.inside, wanted.inside)
    if isinstance(value, tuple) and len(value) == 3 and not isinstance(value[2], bytes):
        return value[:2] == wanted[:2] and value[2].tobytes() == wanted[2].tobytes()
    return type(value) is type(wanted) and value == wanted


# ---- workers ----


class Paused(Exception):
    pass


class Lane:
    """One thread of a worker: it sends, or it receives in one direction."""

    def __init__(self, ground, number, seed):
        self.ground, self.number = ground, number
        self.random = random.Random(seed)

    def run(self, once):
        try:
            while True:
                try:
                    once()
                except Paused:
                    self.stand_still()
        except (EOFError, BrokenPipeError) as error:
            if self.ground.words[1] == 0:
                fail(f"lane {self.number}: {error!r} while the other side is there", self.number)
        except BaseException as error:
            fail(f"lane {self.number}: {error!r}", self.number)
            raise
        finally:
            self.ground.state[self.number] = ENDED

    def stand_still(self):
        pause = self.ground.pause
        self.ground.state[self.number] = pause
        while self.ground.pause == pause:
            time.sleep(0.002)
        self.ground.state[self.number] = 0


class Sender(Lane):
    def __init__(self, ground, number, seed, ends):
        super().__init__(ground, number, seed)
        self.ends = ends  # direction -> connection

    def send_empty(self, end):
        self.ground.empty_begun[self.number] += 1
        end.send_bytes(b"")
        self.ground.empty_sent[self.number] += 1

    def once(self):
        ground, lane = self.ground, self.number
        number = ground.begun[lane] + 1
        while number == MESSAGES and not ground.pause % 2:  # enough for one round
            if ground.words[1]:
                raise BrokenPipeError
            time.sleep(0.002)
        if ground.pause % 2:
            raise Paused
        way = self.random.choice(list(self.ends))
        if way == BYTES and self.random.random() < 0.05:
            return self.send_empty(self.ends[way])
        value = raw_of(lane, number) if way == BYTES else object_of(lane, number)
        if way != BYTES and number % 7 == 0:
            value = pickle.dumps(value)
        ground.way[lane * MESSAGES + number] = 1 + way
        ground.begun[lane] = number
        self.ends[way].send_bytes(value) if isinstance(value, bytes) else self.ends[way].send(value)
        ground.sent[lane] = number


class Receiver(Lane):
    def __init__(self, ground, number, seed, end, way):
        super().__init__(ground, number, seed)
        self.end, self.way, self.last = end, way, {}

    def recv_raw(self):
        if self.random.random() < 0.5:
            return self.end.recv_bytes()
        into = bytearray(1 << 16)
        try:
            return bytes(into[:self.end.recv_bytes_into(into)])
        except cmp.BufferTooShort as error:
            return error.args[0]

    def recv(self):
        choice = self.random.randrange(8)
        if choice == 0:
            self.end.poll(None)
        elif choice == 1:
            connection.wait([self.end])
        elif choice == 2:
            select.select([self.end], [], [])
        elif choice == 3 and not self.end.poll(self.random.random() / 1000):
            return None
        if self.way == BYTES:
            return self.recv_raw()
        return self.end.recv() if self.random.random() < 0.8 else pickle.loads(self.recv_raw())

    def once(self):
        ground, lane = self.ground, self.number
        ground.taking[lane] = TAKING
        value = self.recv()
        if value is None:
            return
        if value in (b"pause", "pause"):
            ground.taking[lane] = FREE
            raise Paused
        ground.n_got[lane] += 1
        if value == b"":
            ground.n_empty[lane] += 1
        else:
            self.note(value)
        ground.taking[lane] = FREE

    def note(self, value):
        ground = self.ground
        lane, number = struct.unpack("II", value[:8]) if self.way == BYTES else number_of(value)
        place = lane * MESSAGES + number
        ground.times[place] += 1
        if ground.times[place] > 1:
            fail(f"message {lane}.{number} came {ground.times[place]} times", self.number)
        if number > ground.begun[lane] or ground.way[place] != 1 + self.way:
            fail(f"message {lane}.{number} was never sent this way", self.number)
        if number <= self.last.get(lane, 0):
            fail(f"message {lane}.{number} came after {self.last[lane]}", self.number)
        self.last[lane] = number
        if not same(value, raw_of(lane, number) if self.way == BYTES else object_of(lane, number)):
            fail(f"message {lane}.{number} is torn: {repr(value)[:200]}", self.number)


def work(ground, side, lane, ends, seed):
    faulthandler.enable()
    if side == LEFT:
        near = {BYTES: ends[1], OBJECTS: ends[3], THERE: ends[4]}
        lanes = [Sender(ground, lane + i, seed + i, near) for i in range(3)]
        lanes.append(Receiver(ground, lane + 3, seed, ends[4], BACK))
    else:
        near = {BYTES: ends[0], OBJECTS: ends[2], THERE: ends[5]}
        lanes = [Receiver(ground, lane + way, seed + way, end, way) for way, end in near.items()]
        lanes.append(Sender(ground, lane + 3, seed, {BACK: ends[5]}))
    for end in ends:
        if all(end is not kept for kept in near.values()):
            end.close()
    threads = [threading.Thread(target=one.run, args=(one.once,)) for one in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def receives(side, lane):
    """The direction in which that lane of such a process receives, or None."""
    if side == LEFT:
        return BACK if lane == 3 else None
    return lane if lane < 3 else None


# ---- the director ----


class Worker:
    def __init__(self, side, lane, process):
        self.side, self.lane, self.process = side, lane, process
        self.lanes = range(lane, lane + LANES_EACH)

    def kill(self, number):
        try:
            os.kill(self.process.pid, number)
        except ProcessLookupError:
            fail(f"process {self.process.pid} has ended by itself")


class Round:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.ground = Ground()
        self.next_lane = LANES_EACH  # lane 0 is the director's
        self.ends = [*Pipe(False), *Pipe(False), *Pipe()]
        self.allowed = [0] * DIRECTIONS  # messages that may be lost, by now
        self.n_kills = self.n_stops = self.n_lost = 0
        self.workers = []
        for side, n in SIDES.items():
            for _ in range(n):
                self.hire(side)

    def hire(self, side):
        lane = self.next_lane
        self.next_lane += LANES_EACH
        process = cmp.get_context("fork").Process(
            target=work, args=(self.ground, side, lane, self.ends, self.random.getrandbits(30)))
        process.start()
        self.workers.append(Worker(side, lane, process))

    def bury(self, worker):
        """Kill it, and note what may be lost by that."""
        worker.kill(signal.SIGKILL)
        worker.process.join()
        self.workers.remove(worker)
        for lane in range(LANES_EACH):
            way = receives(worker.side, lane)
            if way is not None and self.ground.taking[worker.lane + lane]:
                self.allowed[way] += 1
        self.n_kills += 1

    # -- a turn

    def disturb(self, seconds):
        """Kill those of a side chosen for all of this turn; stop anybody."""
        mortal = self.random.choice(((LEFT,), (RIGHT,), (LEFT, RIGHT), ()))
        end = time.monotonic() + seconds
        stopped = {}
        while time.monotonic() < end and self.next_lane + 2 * LANES_EACH < LANES:
            time.sleep(self.random.random() ** 3 * 0.1)
            worker = self.random.choice(self.workers)
            if worker.side in mortal and self.random.random() < 0.4:
                stopped.pop(worker, None)
                self.bury(worker)
                self.hire(worker.side)
            elif worker in stopped:
                worker.kill(signal.SIGCONT)
                del stopped[worker]
            else:
                worker.kill(signal.SIGSTOP)
                stopped[worker] = True
                self.n_stops += 1
        for worker in stopped:
            worker.kill(signal.SIGCONT)

    def await_states(self, wanted, lanes, what):
        """Whether all of those lanes get there; else show where they are."""
        end = time.monotonic() + STUCK_S
        while True:
            late = [lane for lane in lanes if self.ground.state[lane] not in wanted]
            if not late:
                return True
            if time.monotonic() > end:
                break
            time.sleep(0.002)
        fail(f"{what}: lanes {late} are stuck")
        self.show_stacks()
        return False

    def show_stacks(self):
        for worker in self.workers:
            print(f"== lanes {worker.lanes}, side {worker.side}, pid {worker.process.pid}", file=sys.stderr, flush=True)
            worker.kill(signal.SIGABRT)
            worker.process.join(5)

    def lanes_of(self, receiving, side=None):
        return [worker.lane + lane for worker in self.workers for lane in range(LANES_EACH)
                if (receives(worker.side, lane) is not None) == receiving and side in (None, worker.side)]

    def settle(self):
        """All pause, with nothing on its way.  False: somebody is stuck."""
        pause = self.ground.pause = self.ground.pause + 1
        if not self.await_states((pause,), self.lanes_of(False), "senders pause"):
            return False
        into = {BYTES: self.ends[1], OBJECTS: self.ends[3], THERE: self.ends[4], BACK: self.ends[5]}
        for worker in self.workers:
            for lane in range(LANES_EACH):
                way = receives(worker.side, lane)
                if way is not None:
                    into[way].send_bytes(b"pause") if way == BYTES else into[way].send("pause")
        if not self.await_states((pause,), self.lanes_of(True), "receivers pause"):
            return False
        for end in (self.ends[0], self.ends[2], self.ends[4], self.ends[5]):
            if end.poll() or select.select([end], [], [], 0)[0]:
                fail("something is left on its way")
        return True

    # -- the account

    def lost(self):
        """Of each direction, how many were sent and not received; and what was received in vain is told."""
        ground, lost = self.ground, [0] * DIRECTIONS
        for lane in range(LANES_EACH, self.next_lane):
            for number in range(1, ground.begun[lane] + 1):
                place = lane * MESSAGES + number
                if ground.times[place] == 0 and number <= ground.sent[lane]:
                    lost[ground.way[place] - 1] += 1
        n_empty = sum(ground.n_empty)
        if n_empty > sum(ground.empty_begun):
            fail("more empty messages came than were sent")
        lost[BYTES] += max(sum(ground.empty_sent) - n_empty, 0)
        return lost

    def balance(self):
        lost = self.lost()
        for way in range(DIRECTIONS):
            if lost[way] > self.allowed[way]:
                fail(f"{lost[way]} messages of direction {way} are lost, where {self.allowed[way]} could be")
        self.allowed, self.n_lost = lost, sum(lost)  # what was not lost by now may not be lost later
        for what in cmp.check():
            fail(f"check: {what}")

    # -- the end

    def finish(self):
        """One side is killed while it works; the other one finds what is left, then the end."""
        side = self.random.choice((LEFT, RIGHT))
        time.sleep(self.random.random() * 0.1)
        self.ground.words[1] = 1  # from now on ends are expected
        for end in self.ends:
            end.close()
        for worker in [worker for worker in self.workers if worker.side == side]:
            self.bury(worker)
        lanes = [lane for worker in self.workers for lane in worker.lanes]
        if not self.await_states((ENDED,), lanes, "the end of the other side"):
            return
        for worker in list(self.workers):
            worker.process.join()
            if worker.process.exitcode != 0:
                fail(f"a worker ended with {worker.process.exitcode}")
        n_lost, n_sent = self.n_lost, sum(self.ground.sent)
        if side == LEFT:
            self.allowed[BACK] = n_sent  # nobody was left to receive it
        else:
            self.allowed = [n_sent] * DIRECTIONS
        self.balance()
        self.n_lost = n_lost

    def give_up(self):
        for worker in list(self.workers):
            worker.process.kill()
            worker.process.join()

    def run(self):
        for _ in range(4):
            self.disturb(0.9)
            if not self.settle():
                return self.give_up()
            self.balance()
            self.ground.pause += 1
        return self.finish()


def amounts():
    """The bytes in use of the arena, the place of a new object, and how many descriptors are open.

    Places are found again once there are some thousands of them.
    """
    descriptors = {int(name) for name in os.listdir("/proc/self/fd")}
    arena = 0
    for fd in descriptors:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:cmp"):
                arena = os.fstat(fd).st_blocks * 512
    a, b = Pipe()
    place = max(end._place()[1] & 0xFFFFFF for end in (a, b))
    a.close()
    b.close()
    return arena, place, len(descriptors)


def main(seconds=30, seed=None, most_failures=20):
    seed = seed if seed is not None else random.SystemRandom().getrandbits(30)
    print(f"soak: {seconds} s, seed {seed}", flush=True)
    Pipe()
    end, n, before = time.monotonic() + seconds, 0, None
    total = [0] * 5
    while time.monotonic() < end and sum(n_failures) < most_failures:
        faulthandler.dump_traceback_later(6 * STUCK_S, exit=True)
        one = Round(seed + n)
        one.run()
        for i, count in enumerate((sum(one.ground.n_got), one.n_lost, one.n_kills, one.n_stops, 1)):
            total[i] += count
        n += 1
        now = amounts()
        if os.environ.get("SOAK_VERBOSE"):
            print(now, total, flush=True)
        if n == 5:
            before = now
        if before and (now[0] > before[0] + (256 << 20) or now[1] > before[1] + 3000 or now[2] != before[2]):
            fail(f"bytes, objects and descriptors were {before}, and are {now}")
            before = now
    print("{} messages received, {} lost, {} SIGKILL, {} SIGSTOP, {} rounds".format(*total))
    print(f"{sum(n_failures)} failures", flush=True)
    return sum(n_failures) != 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
