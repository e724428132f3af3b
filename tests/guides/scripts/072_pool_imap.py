"""imap and imap_unordered: results one by one, in order or as they come."""
from multiprocessing import Pool


def letters(word):
    return "".join(sorted(word))


def reciprocal(n):
    return 1 / n


if __name__ == "__main__":
    words = ["listen", "silent", "enlist", "google", "banana", "inlets"]
    with Pool(3) as pool:
        ordered = pool.imap(letters, words)
        assert next(ordered) == "eilnst" and ordered.next(timeout=30) == "eilnst"
        print(list(ordered))
        assert sorted(pool.imap_unordered(letters, words)) == sorted(map(letters, words))
        print(sorted(set(pool.imap_unordered(letters, words, chunksize=2))))
        assert list(pool.imap(letters, (word for word in words), chunksize=4)) == [letters(word) for word in words]
        assert list(pool.imap(abs, range(-500, 500))) == [abs(n) for n in range(-500, 500)]
        assert list(pool.imap(abs, [])) == []

        results, seen = pool.imap(reciprocal, [4, 0, 2]), []
        while True:
            try:
                seen.append(next(results))
            except ZeroDivisionError as error:
                seen.append(str(error))
            except StopIteration:
                break
        print(seen)
        try:
            next(results)
        except StopIteration:
            print("exhausted")
