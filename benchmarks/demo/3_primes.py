"""How are the primes spread over their last digits? A Pool, an executor and shared counters.

After the guide that begins with Pool: map, starmap, apply_async and an AsyncResult, close and join, exceptions that
reach the parent; Value and Array with their locks; a Manager's list and dict; the factorisation of a range of numbers
in chunks.

A segmented sieve in pure Python, one segment a task; the counts are compared with those of a sieve in one piece.
"""
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import Array, Manager, Pool, Value, cpu_count

import numpy as np

LIMIT, SEGMENT = 60_000_000, 1_000_000
FIRST, COUNT = 1_000_000_000, 6000


def small_primes(limit):
    flags = bytearray([1]) * limit
    flags[:2] = b"\0\0"
    for n in range(2, int(limit ** 0.5) + 1):
        if flags[n]:
            flags[n * n::n] = bytes(len(range(n * n, limit, n)))
    return [n for n in range(limit) if flags[n]]


def prepare(total, digits):
    """In each worker: the small primes, and the counters that all share."""
    global primes, shared_total, shared_digits
    primes, shared_total, shared_digits = small_primes(int(LIMIT ** 0.5) + 1), total, digits


def sieve(start, stop):
    """The number of primes in a segment, which are also added to the shared counters."""
    flags = bytearray([1]) * (stop - start)
    if start == 0:
        flags[:2] = b"\0\0"
    for p in primes:
        first = max(p * p, -(-start // p) * p)
        flags[first - start::p] = bytes(len(range(first, stop, p)))
    counts = [flags[(digit - start) % 10::10].count(1) for digit in range(10)]
    with shared_digits.get_lock():
        for digit, count in enumerate(counts):
            shared_digits[digit] += count
    with shared_total.get_lock():
        shared_total.value += sum(counts)
    return sum(counts)


def factorise(n):
    factors, divisor = [], 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1 if divisor == 2 else 2
    return [*factors, n] if n > 1 else factors


def factorise_range(start, stop, found, smooth):
    """Primes go into the shared list, how many prime factors the others have into the shared dict."""
    histogram = {}
    for n in range(start, stop):
        factors = factorise(n)
        if len(factors) == 1:
            found.append(n)
        histogram[len(factors)] = histogram.get(len(factors), 0) + 1
    smooth[start] = histogram
    return stop - start


def count_primes():
    total, digits = Value("q", 0), Array("q", 10)
    segments = [(start, min(start + SEGMENT, LIMIT)) for start in range(0, LIMIT, SEGMENT)]
    begin = time.perf_counter()
    pool = Pool(initializer=prepare, initargs=(total, digits))
    first = pool.apply_async(sieve, segments[0])
    counts = pool.starmap(sieve, segments[1:], chunksize=1)
    pool.close()
    pool.join()
    counts.insert(0, first.get())
    seconds = time.perf_counter() - begin

    flags = np.ones(LIMIT, bool)
    flags[:2] = False
    for n in range(2, int(LIMIT ** 0.5) + 1):
        if flags[n]:
            flags[n * n::n] = False
    expected = np.flatnonzero(flags)
    assert total.value == sum(counts) == expected.size
    assert digits[:] == np.bincount(expected % 10, minlength=10).tolist()
    print(f"{total.value} primes below {LIMIT}: {seconds:.2f} s")
    print("  last digits:", ", ".join(f"{digit}: {count}" for digit, count in enumerate(digits) if count))


def factorise_in_executor():
    begin, step = time.perf_counter(), 100
    with Manager() as manager, ProcessPoolExecutor(max_workers=cpu_count()) as executor:
        found, smooth = manager.list(), manager.dict()
        futures = [executor.submit(factorise_range, start, start + step, found, smooth)
                   for start in range(FIRST, FIRST + COUNT, step)]
        count = sum(future.result() for future in as_completed(futures))
        primes_found, histograms = sorted(found), dict(smooth)
    histogram = {}
    for part in histograms.values():
        for factors, times in part.items():
            histogram[factors] = histogram.get(factors, 0) + times
    assert sum(histogram.values()) == count == COUNT and histogram[1] == len(primes_found)
    assert all(factorise(n) == [n] for n in primes_found)
    print(f"{count} numbers from {FIRST} on factorised: {time.perf_counter() - begin:.2f} s")
    print("  by number of prime factors:", dict(sorted(histogram.items())))


def fail_in_worker():
    with Pool(1) as pool:
        try:
            pool.apply(factorise, ("not a number",))
        except TypeError as error:
            print("an exception in a worker reaches the parent:", type(error).__name__)


def main():
    print(f"{cpu_count()} workers")
    count_primes()
    factorise_in_executor()
    fail_in_worker()
    print("counts and digits equal to those of one sieve over everything")


if __name__ == "__main__":
    main()
