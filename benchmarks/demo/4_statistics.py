"""Word, line and token statistics of the standard library's sources, with a progress bar and a clean Ctrl-C.

After the notes on processes and threads: Pool with an initializer, imap_unordered under tqdm, apply_async with
callbacks that move the bar, a shared Value with its lock; ProcessPoolExecutor with map; NumPy on a shared Array;
threads for what waits on files; and what Ctrl-C does: the workers are told to leave, then the program ends with one
line, without a traceback and with nothing left behind.
"""
import collections
import functools
import io
import multiprocessing as mp
import signal
import sys
import threading
import time
import tokenize
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from tqdm import tqdm

import corpus


def prepare(counter, lengths):
    """Each worker knows the shared counters."""
    global shared_bytes, shared_lengths
    shared_bytes, shared_lengths = counter, lengths


def read(path):
    with tokenize.open(path) as file:
        return file.read()


def count_words(path):
    """Lines and words of one file; its bytes and the lengths of its lines go to the shared counters."""
    text = read(path)
    lines = text.splitlines()
    with shared_bytes.get_lock():
        shared_bytes.value += len(text.encode())
    histogram = np.bincount([min(len(line), 159) for line in lines], minlength=160)
    with shared_lengths.get_lock():
        np.frombuffer(shared_lengths.get_obj(), np.int64)[:] += histogram
    return len(lines), collections.Counter(text.split())


def count_tokens(path):
    names = collections.Counter()
    for token in tokenize.generate_tokens(io.StringIO(read(path)).readline):
        names[tokenize.tok_name[token.type]] += 1
    return path, names


def letters(path):
    return collections.Counter(filter(str.isalpha, read(path).lower()))


def in_threads(paths):
    """The sizes of files, read by threads: waiting for files is not computing."""
    sizes, lock = {}, threading.Lock()

    def measure(share):
        for path in share:
            with open(path, "rb") as file:
                size = len(file.read())
            with lock:
                sizes[path] = size

    threads = [threading.Thread(target=measure, args=(share,)) for share in corpus.shares(paths, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sizes


def total(counters):
    return functools.reduce(lambda a, b: a.update(b) or a, counters, collections.Counter())


def words(pool, paths):
    results = pool.imap_unordered(count_words, paths, chunksize=8)
    rows = list(tqdm(results, total=len(paths), desc="words", mininterval=0.5))
    return sum(lines for lines, _ in rows), total(counter for _, counter in rows)


def tokens(pool, paths):
    """What kinds of tokens each file has; apply_async, and callbacks that move the bar."""
    found, errors = {}, []
    with tqdm(total=len(paths), desc="tokens", mininterval=0.5) as bar:
        def done(result):
            found.update([result])
            bar.update()

        jobs = [pool.apply_async(count_tokens, (path,), callback=done, error_callback=errors.append) for path in paths]
        for job in jobs:
            job.wait()
    pool.close()
    pool.join()
    assert not errors and len(found) == len(paths)
    return found


def run(pool, paths, counter, lengths):
    begin = time.perf_counter()
    lines, by_word = words(pool, paths)
    by_token = tokens(pool, paths[::2])
    with ProcessPoolExecutor(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as executor:
        by_letter = total(executor.map(letters, paths[::4], chunksize=16))
    seconds = time.perf_counter() - begin

    sizes = in_threads(paths)
    assert sum(sizes.values()) >= counter.value > 0.99 * sum(sizes.values())  # line ends and encodings aside
    texts = [read(path) for path in paths]
    assert lines == sum(len(text.splitlines()) for text in texts) == sum(lengths)
    assert by_word == total(collections.Counter(text.split()) for text in texts)
    assert by_letter == total(map(letters, paths[::4]))
    assert all(by_token[path] == count_tokens(path)[1] for path in paths[::20])

    print(f"{len(paths)} files, {counter.value / 1e6:.1f} MB, {lines} lines and {sum(by_word.values())} words "
          f"in {seconds:.2f} s")
    kinds = total(by_token.values())
    print(f"  tokens in every other file: {sum(kinds.values())}, {kinds['NAME']} of them names")
    print("  most frequent words:", ", ".join(word for word, _ in by_word.most_common(8)))
    print("  most frequent letters:", " ".join(letter for letter, _ in by_letter.most_common(12)))
    print("  lines of 80 characters and more:", sum(lengths[80:]))
    print("words, lines and letters equal to those of a serial count, the tokens of every twentieth file, too")


def main():
    paths = corpus.files()
    counter, lengths = mp.Value("q", 0), mp.Array("q", 160)
    print(f"{mp.cpu_count()} workers", flush=True)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # so do the workers: they leave Ctrl-C to this process
    pool = mp.Pool(mp.cpu_count(), initializer=prepare, initargs=(counter, lengths))
    signal.signal(signal.SIGINT, handler)
    try:
        run(pool, paths, counter, lengths)
    finally:
        pool.terminate()
        pool.join()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(f"interrupted, {len(mp.active_children())} workers left")
