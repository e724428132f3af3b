"""Event: asked, set and cleared, ping-pong between two processes, created."""

from harness import expect, repeat, row, statement

statement(
    "event/is_set", "ns", "event = mp.Event(); event.set()", "event.is_set()", "event.is_set()",
    needs="Event", floor="call.function", quick=True,
)  # fmt: skip
statement(
    "event/set + clear", "ns", "event = mp.Event()", "event.set(); event.clear()", "not event.is_set()",
    needs="Event", floor="lock.cas",
)  # fmt: skip
statement("event/create", "us", "", "event = mp.Event()", "not event.is_set()", needs="Event", kept="event", unroll=1)


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
