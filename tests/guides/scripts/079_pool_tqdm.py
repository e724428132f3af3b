"""Progress bars: over imap, over imap_unordered, and moved by callbacks."""
import io
from multiprocessing import Pool

from tqdm import tqdm


def is_prime(n):
    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))


def careful(n):
    if n == 13:
        raise ValueError("unlucky")
    return is_prime(n)


if __name__ == "__main__":
    numbers = range(1000)
    with Pool(3) as pool:
        screen = io.StringIO()
        flags = list(tqdm(pool.imap(is_prime, numbers, chunksize=20), total=len(numbers), file=screen))
        assert sum(flags) == 168 and "1000/1000" in screen.getvalue()
        print("primes below 1000:", sum(flags))
        unordered = sum(tqdm(pool.imap_unordered(is_prime, numbers, 50), total=len(numbers)))  # to stderr
        assert unordered == 168

        errors = []
        with tqdm(total=50, file=screen) as bar:
            def failed(error):
                errors.append(str(error))
                bar.update()

            jobs = [pool.apply_async(careful, (n,), callback=lambda _: bar.update(), error_callback=failed)
                    for n in range(50)]
            pool.close()
            pool.join()
        assert bar.n == len(jobs) and errors == ["unlucky"]
        print("bar at", bar.n, "of", bar.total, errors)
