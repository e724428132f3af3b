"""Queue, SimpleQueue and JoinableQueue: every shape of producers and consumers, and alone in one process."""

from harness import expect, matcher, repeat, row, same, statement

KINDS = ("Queue", "SimpleQueue", "JoinableQueue")
SAMPLES = {
    "ints": None,  # counted, so that order and loss show
    "3-tuples": (1, "abc", 2.0),
    "1 KiB": bytes(range(256)) * 4,
    "1 MiB": bytes(range(256)) * 4096,
}
BOUND = 32  # of the queue of large messages: nobody wants n MiB in flight


def produce(rounds, queue, share, sample):
    for n in rounds:
        if sample is None:
            for i in range(n * share):
                queue.put(i)
        else:
            for _ in repeat(None, n * share):
                queue.put(sample)
        if hasattr(queue, "join"):
            queue.join()


def take_numbers(n, get, done, ordered):
    """The sum of n numbers; of one producer each must be greater than the one before."""
    total, last = 0, -1
    for _ in repeat(None, n):
        number = get()
        if number <= last and ordered:
            expect(False, f"{number} comes after {last}")
        last = number
        total += number
        if done:
            done()
    return total


def take_samples(n, get, done, sample):
    """n times the sample; the sum is their number."""
    matches = matcher(sample)
    for _ in repeat(None, n):
        message = get()
        if not matches(message):
            expect(False, "every message is the sample")
        if done:
            done()
    expect(same(message, sample), "the last message is the sample")
    return n


def consume(rounds, queue, share, sample, ordered):
    done = getattr(queue, "task_done", None)
    for n in rounds:
        if sample is None:
            rounds.tell(take_numbers(n * share, queue.get, done, ordered))
        else:
            rounds.tell(take_samples(n * share, queue.get, done, sample))


def shape(kind, producers, consumers, what):
    """Register a row: n messages per turn for each of the larger side, shared evenly by the other."""
    sample = SAMPLES[what]
    most = max(producers, consumers)
    small = what != "1 MiB"

    @row(
        f"{kind.lower()}/{producers} to {consumers}, {what}", "k/s" if small else "/s", needs=kind, per=most,
        floor="ring.spin.cross" if small else "", quick=kind == "Queue" and what in ("ints", "1 MiB") and most == 1,
    )  # fmt: skip
    def make(mp, crew):
        bound = [] if small or kind == "SimpleQueue" else [BOUND]
        queue = getattr(mp, kind)(*bound)
        for _ in range(producers):
            crew.hire(produce, queue, most // producers, sample)
        for _ in range(consumers):
            crew.hire(consume, queue, most // consumers, sample, producers == 1)

        def check(n, result, told):
            each = n * (most // producers)
            wanted = producers * (each * (each - 1) // 2 if sample is None else each)
            expect(sum(told[producers:]) == wanted, "everything arrives once")

        yield (lambda n: None), check
        expect(queue.empty(), "the queue is empty")


for kind in KINDS:
    for what in SAMPLES:
        shape(kind, 1, 1, what)
    for producers, consumers in ((4, 1), (1, 4), (4, 4)):
        shape(kind, producers, consumers, "ints")

    statement(
        f"{kind.lower()}/put + get, same process", "us", f"queue = mp.{kind}()\nfound = 0",
        "queue.put(1); found += queue.get()", "found == total and queue.empty()",
        needs=kind, quick=kind == "Queue",
    )  # fmt: skip
    statement(
        f"{kind.lower()}/create", "us", "", f"queue = mp.{kind}()", "queue.empty()", needs=kind, kept="queue", unroll=1
    )
