"""ProcessPoolExecutor: map, submit, as_completed, wait, callbacks, exceptions, an initializer."""
import multiprocessing
import os
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, as_completed, wait


def prepare(value):
    global unit
    unit = value


def scaled(n):
    return n * unit


def square(n):
    if n < 0:
        raise ValueError("negative")
    return n * n


if __name__ == "__main__":
    numbers = [1, 2, 3, 4, 5]
    with ProcessPoolExecutor(max_workers=3) as executor:
        for number, result in zip(numbers, executor.map(square, numbers)):
            print(number, "squared is", result)
        future = executor.submit(square, 10)
        assert future.result() == 100 and future.done() and future.exception() is None
        assert list(executor.map(pow, numbers, numbers, chunksize=2)) == [n ** n for n in numbers]

        futures = {executor.submit(square, n): n for n in numbers}
        assert {futures[f]: f.result() for f in as_completed(futures)} == {n: n * n for n in numbers}
        done, pending = wait([executor.submit(square, n) for n in range(20)])
        assert len(done) == 20 and not pending
        print("done:", sum(future.result() for future in done))

        heard = []
        failing = executor.submit(square, -1)
        failing.add_done_callback(lambda future: heard.append(future.exception()))
        wait([failing], return_when=FIRST_EXCEPTION)
        try:
            failing.result(timeout=30)
        except ValueError as error:
            print("raised here:", error)
        assert os.getpid() != executor.submit(os.getpid).result()
    print("heard:", heard)

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=prepare, initargs=(0.5,)) as executor:
        print(list(executor.map(scaled, range(5))))
    try:
        executor.submit(square, 1)
    except RuntimeError as error:
        print(type(error).__name__)
