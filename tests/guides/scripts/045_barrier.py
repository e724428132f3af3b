"""A Barrier: nobody goes on before all have come; a broken one tells all who wait."""
import threading
from multiprocessing import Array, Barrier, Process, Queue


def relax(index, cells, barrier, steps):
    """Each cell becomes the mean of its neighbours; two barriers keep the steps apart."""
    for _ in range(steps):
        value = (cells[index - 1] + cells[(index + 1) % len(cells)]) / 2
        barrier.wait()
        cells[index] = value
        barrier.wait()


def late(barrier, answers):
    try:
        barrier.wait(timeout=60)
    except threading.BrokenBarrierError:
        answers.put("broken")


def draw(barrier, answers):
    answers.put(barrier.wait())


if __name__ == "__main__":
    start = [8.0, 0.0, 4.0, 0.0]
    cells, barrier = Array("d", start), Barrier(len(start))
    crew = [Process(target=relax, args=(i, cells, barrier, 5)) for i in range(len(start))]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    expected = start
    for _ in range(5):
        expected = [(expected[i - 1] + expected[(i + 1) % 4]) / 2 for i in range(4)]
    assert cells[:] == expected and barrier.n_waiting == 0
    print(cells[:], "parties:", barrier.parties)

    answers, barrier = Queue(), Barrier(3)
    for target in (draw, late):
        crew = [Process(target=target, args=(barrier, answers)) for _ in range(2)]
        for process in crew:
            process.start()
        if target is draw:
            drawn = sorted([barrier.wait(), answers.get(), answers.get()])
            print("each a number of its own:", drawn)
        else:
            barrier.abort()
            print([answers.get() for _ in crew], barrier.broken)
        for process in crew:
            process.join()
    barrier.reset()
    try:
        barrier.wait(0.05)
    except threading.BrokenBarrierError:
        print("alone for too long:", barrier.broken)
    barrier = Barrier(1, action=lambda: print("all here"), timeout=5)
    print("index:", barrier.wait())
