"""A Manager's dict and list: one copy, in the manager's process, which all reach through proxies."""
from multiprocessing import Manager, Pool, Process


def change(items, table):
    items[1] = 100
    table["b"] = "updated"
    table["c"] = [1, 2, 3]


def tally(word, counts, lengths, lock):
    with lock:  # two steps, read and write: not safe without
        counts[word[0]] = counts.get(word[0], 0) + 1
    lengths.append(len(word))  # one step


if __name__ == "__main__":
    with Manager() as manager:
        items, table = manager.list([1, 2, 3]), manager.dict({"a": "initial", "b": "original"})
        process = Process(target=change, args=(items, table))
        process.start()
        process.join()
        assert items[:] == [1, 100, 3] and dict(table) == {"a": "initial", "b": "updated", "c": [1, 2, 3]}
        print(items, table)
        items.append("tail")
        items.reverse()
        items.extend(["x", "y"])
        print(list(items), items.pop(), len(items), items.index(100), 3 in items)
        print(sorted(table.keys()), table.pop("c"), table.setdefault("d", 4), "a" in table, table.copy())

        nested = manager.dict(inner=manager.list([1]))
        nested["inner"].append(2)
        assert nested["inner"][:] == [1, 2]
        table.update(a=0)
        del table["b"]
        print(sorted(table.items()))

        words = "peter piper picked a peck of pickled peppers and ate a few of them all".split()
        counts, lengths, lock = manager.dict(), manager.list(), manager.Lock()
        with Pool(3) as pool:
            pool.starmap(tally, [(word, counts, lengths, lock) for word in words])
        assert sum(counts.values()) == len(words) and sorted(lengths) == sorted(map(len, words))
        print(dict(sorted(counts.items())), sum(list(lengths)))
