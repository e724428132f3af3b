"""Condition: uncontended, ping-pong between two processes with the predicate loop, created."""

from harness import expect, repeat, row, statement

statement(
    "condition/with", "ns", "condition = mp.Condition()", "with condition: pass", "condition.acquire(False)",
    needs="Condition", floor="lock.cas",
)  # fmt: skip
statement(
    "condition/create", "us", "", "condition = mp.Condition()", "condition.acquire(False)",
    needs="Condition", kept="condition", unroll=1, floor="cell.take",
)  # fmt: skip


def answer(rounds, condition, turn):
    for n in rounds:
        for _ in repeat(None, n):
            with condition:
                while turn.value != 1:
                    condition.wait()
                turn.value = 0
                condition.notify()


@row("condition/ping-pong", "us", needs="Condition RawValue", floor="pingpong.spin.cross")
def ping_pong(mp, crew):
    condition, turn = mp.Condition(), mp.RawValue("i", 0)
    crew.hire(answer, condition, turn)

    def loop(n):
        for _ in repeat(None, n):
            with condition:
                turn.value = 1
                condition.notify()
                while turn.value != 0:
                    condition.wait()

    yield loop
    expect(turn.value == 0, "it is nobody's turn")
