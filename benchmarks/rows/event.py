"""Event: asked, set and cleared, ping-pong between two processes, created."""

import os

from harness import expect, repeat, row, statement

statement(
    "event/is_set", "ns", "event = mp.Event(); event.set()", "event.is_set()", "event.is_set()",
    needs="Event", floor="call.function", quick=True,
)  # fmt: skip
statement(
    "event/set + clear", "ns", "event = mp.Event()", "event.set(); event.clear()", "not event.is_set()",
    needs="Event", floor="lock.cas",
)  # fmt: skip
statement(
    "event/create", "us", "", "event = mp.Event()", "not event.is_set()", needs="Event", kept="event", unroll=1,
    floor="cell.take",
)  # fmt: skip


def compute(rounds, turns):
    """Until the turn is over that has begun."""
    for over, _ in enumerate(rounds):
        while turns.value <= over:
            sum(range(1000))


def answer(rounds, ping, pong):
    for n in rounds:
        for _ in repeat(None, n):
            ping.wait()
            ping.clear()
            pong.set()


@row("event/ping-pong", "us", needs="Event", floor="pingpong.spin.cross", quick=True)
def ping_pong(mp, crew):
    ping, pong = mp.Event(), mp.Event()
    crew.hire(answer, ping, pong)

    def loop(n):
        for _ in repeat(None, n):
            ping.set()
            pong.wait()
            pong.clear()

    yield loop
    expect(not ping.is_set() and not pong.is_set(), "both events are clear")


@row("event/ping-pong, cores busy", "us", needs="Event RawValue", floor="pingpong.yield.same")
def ping_pong_beside_others(mp, crew):
    """More runnable processes than cores: as many that only compute, besides the two."""
    ping, pong, turns = mp.Event(), mp.Event(), mp.RawValue("q", 0)
    crew.hire(answer, ping, pong)
    for _ in os.sched_getaffinity(0):
        crew.hire(compute, turns)

    def loop(n):
        for _ in repeat(None, n):
            ping.set()
            pong.wait()
            pong.clear()
        turns.value += 1

    yield loop
