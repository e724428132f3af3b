"""Many processes at once: a list of them, started together, joined one by one, their answers sorted."""
import math
from multiprocessing import Event, Process, Queue, Semaphore


def digits_of_factorial(n, answers):
    answers.put((n, sum(int(digit) for digit in str(math.factorial(n)))))


def gather(arrived, leave):
    arrived.release()
    leave.wait()


if __name__ == "__main__":
    answers = Queue()
    processes = [Process(target=digits_of_factorial, args=(n, answers)) for n in range(10, 22)]
    [process.start() for process in processes]
    found = dict(answers.get() for _ in processes)  # before join: a queue wants to be emptied first
    [process.join() for process in processes]

    assert found == {n: sum(map(int, str(math.factorial(n)))) for n in range(10, 22)}
    assert all(process.exitcode == 0 for process in processes)
    for n in sorted(found)[::3]:
        print(f"{n}! has the digit sum {found[n]}")

    arrived, leave = Semaphore(0), Event()
    crowd = [Process(target=gather, args=(arrived, leave)) for _ in range(8)]
    for process in crowd:
        process.start()
    for _ in crowd:
        arrived.acquire()
    assert all(process.is_alive() for process in crowd)
    leave.set()
    for process in crowd:
        process.join()
    print(f"{len(crowd)} at the same time")
