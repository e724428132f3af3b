"""Prime factors of a range of numbers: starmap over chunks, more workers than processors."""
from multiprocessing import Pool


def prime_factors(n):
    factors, divisor = [], 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1 if divisor == 2 else 2
    return factors + [n] if n > 1 else factors


def count_primes(start, stop):
    return sum(len(prime_factors(n)) == 1 for n in range(start, stop))


def most_factors(start, stop):
    return max((len(prime_factors(n)), n) for n in range(start, stop))


if __name__ == "__main__":
    first, last, parts = 1_000_000, 1_000_960, 16
    step = (last - first) // parts
    chunks = [(first + i * step, first + (i + 1) * step) for i in range(parts)]
    with Pool(processes=parts) as pool:
        primes = pool.starmap(count_primes, chunks)
        richest = max(pool.starmap(most_factors, chunks, chunksize=4))
    assert sum(primes) == count_primes(first, last)
    print("primes:", sum(primes), "most factors:", richest, prime_factors(richest[1]))
