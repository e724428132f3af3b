"""Exceptions in a Pool: raised again in the parent, with the worker's traceback; the pool goes on."""
import traceback
from multiprocessing import Pool, Process


class TooCold(Exception):
    def __init__(self, degrees, *, where="outside"):
        super().__init__(degrees)
        self.degrees, self.where = degrees, where


def measure(degrees):
    if degrees < 0:
        raise TooCold(degrees)
    return degrees


def have_child():
    process = Process(target=measure, args=(1,))
    process.start()
    process.join()


if __name__ == "__main__":
    with Pool(2) as pool:
        try:
            pool.map(measure, [20, 10, -3, 5], chunksize=1)
        except TooCold as error:
            text = "".join(traceback.format_exception(error))
            assert type(error.__cause__).__name__ == "RemoteTraceback" and "in measure" in text
            print("too cold:", error.degrees, error.where)
        print("the pool goes on:", pool.map(measure, [1, 2, 3]))
        results = [pool.apply_async(measure, (n,)) for n in (-1, 1, -2)]
        for result in results:
            try:
                print(result.get())
            except TooCold as error:
                print(repr(error))
        try:
            pool.apply(have_child)
        except AssertionError as error:
            print(error)
        try:
            pool.apply_async(lambda: 1).get()
        except Exception as error:  # which class it is differs between versions of Python
            print("a lambda does not travel:", "pickle" in str(error))
        print(pool.apply(measure, (36.6,)))
