"""Bound methods, class methods, partials and builtins as tasks: each travels with what it is bound to."""
import functools
import operator
from multiprocessing import Pool


class Polynomial:
    def __init__(self, *coefficients):
        self.coefficients = coefficients

    def at(self, x):
        total = 0
        for c in self.coefficients:
            total = total * x + c
        return total

    @classmethod
    def constant(cls, c):
        return cls(c)

    @staticmethod
    def name():
        return "polynomial"

    def __call__(self, x):
        return -self.at(x)


def clamp(n, low, high):
    return min(max(n, low), high)


if __name__ == "__main__":
    pool = Pool(3)
    workers = [Polynomial(1, 0, n) for n in range(4)]
    jobs = [pool.apply_async(worker.at, (3,)) for worker in workers]
    print([job.get() for job in jobs])
    print(pool.map(Polynomial(2, -1).at, range(5)), pool.map(Polynomial(1, 1), range(3)))
    print([p.at(9) for p in pool.map(Polynomial.constant, [4, 5])], pool.apply(Polynomial.name))
    print(pool.map(functools.partial(clamp, low=2, high=4), range(7)))
    print(pool.starmap(operator.sub, [(5, 3), (1, 8)]), pool.map("{:>3}".format, [7, 42]))
    pool.close()
    pool.join()
