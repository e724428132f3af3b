"""An executor over slices of a NumPy array, and arrays as arguments and results of a Pool's tasks."""
import concurrent.futures
import multiprocessing
from concurrent.futures.process import ProcessPoolExecutor

import numpy as np

data = np.random.default_rng(42).random(200_000)  # every process makes or inherits the same


def slice_sum(start, stop):
    return float(np.sum(data[start:stop]))


def smooth(signal):
    return np.convolve(signal, [0.25, 0.5, 0.25], mode="same")


if __name__ == "__main__":
    workers = multiprocessing.cpu_count()
    edges = np.linspace(0, data.size, workers + 1).astype(int).tolist()
    with ProcessPoolExecutor(max_workers=workers) as executor:
        futures = [executor.submit(slice_sum, *edge) for edge in zip(edges, edges[1:])]
    done, pending = concurrent.futures.wait(futures)
    assert not pending and np.isclose(sum(future.result() for future in done), data.sum())
    print("sum:", round(data.sum(), 3))

    signals = data.reshape(8, -1)
    with multiprocessing.Pool(2) as pool:
        smoothed = np.stack(pool.map(smooth, signals))
        assert (smoothed == np.stack([smooth(signal) for signal in signals])).all()
        [view] = pool.map(smooth, [signals[0][::2]])  # not contiguous
        view += 1  # a result is the caller's own
        kinds = pool.map(np.sort, [np.array([3, 1, 2], dtype=kind) for kind in ("i1", "f4", "U3")])
    print("smoother:", bool(smoothed.std() < signals.std()), [str(kind.dtype) for kind in kinds])
