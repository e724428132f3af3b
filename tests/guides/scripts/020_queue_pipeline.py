"""A producer, several consumers and None for the end."""
from multiprocessing import Process, Queue


def produce(numbers, tasks, consumers):
    for n in numbers:
        tasks.put(n)
    for _ in range(consumers):
        tasks.put(None)


def consume(tasks, results):
    while True:
        n = tasks.get()
        if n is None:
            break
        results.put((n, n * (n + 1) // 2))
    results.put(None)


if __name__ == "__main__":
    tasks, results, crew = Queue(maxsize=8), Queue(), 3
    producer = Process(target=produce, args=(range(300), tasks, crew))
    consumers = [Process(target=consume, args=(tasks, results)) for _ in range(crew)]
    for process in [producer, *consumers]:
        process.start()

    triangular, open_ends = {}, crew
    while open_ends:
        item = results.get()
        if item is None:
            open_ends -= 1
        else:
            triangular[item[0]] = item[1]
    for process in [producer, *consumers]:
        process.join()

    assert triangular == {n: sum(range(n + 1)) for n in range(300)}
    print("results:", len(triangular), "last:", triangular[299], "exits:", [p.exitcode for p in consumers])
