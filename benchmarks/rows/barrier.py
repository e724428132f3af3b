"""Barrier of two and of four processes; created."""

from harness import expect, repeat, row, statement

statement(
    "barrier/create", "us", "", "barrier = mp.Barrier(2)", "barrier.parties == 2",
    needs="Barrier", kept="barrier", unroll=1, floor="cell.take",
)  # fmt: skip


def meet(barrier, n):
    """n times; the sum of the places that this party got."""
    places = 0
    for _ in repeat(None, n):
        places += barrier.wait()
    return places


def party(rounds, barrier):
    for n in rounds:
        rounds.tell(meet(barrier, n))


def barrier_of(parties):
    @row(f"barrier/wait, {parties} processes", "us", needs="Barrier", floor="pingpong.spin.cross")
    def make(mp, crew):
        barrier = mp.Barrier(parties)
        for _ in range(parties - 1):
            crew.hire(party, barrier)

        def check(n, places, told):
            expect(places + sum(told) == n * parties * (parties - 1) // 2, "each place is given once per round")

        yield (lambda n: meet(barrier, n)), check


barrier_of(2)
barrier_of(4)
