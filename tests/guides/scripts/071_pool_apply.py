"""apply() waits, apply_async() hands out a result that can be waited for, asked and collected."""
import multiprocessing
from multiprocessing import Manager, Pool, TimeoutError


def power(base, exponent=2):
    return base ** exponent


def hold(gate):
    gate.wait()
    return "released"


def fail(reason):
    raise ValueError(reason)


if __name__ == "__main__":
    assert TimeoutError is multiprocessing.TimeoutError
    with Manager() as manager, Pool(3) as pool:
        print(pool.apply(power, (7,)), pool.apply(power, args=(2, 10)), pool.apply(power, kwds={"base": 3}))
        results = [pool.apply_async(power, (n,), {"exponent": 3}) for n in range(10)]
        assert [result.get() for result in results] == [n ** 3 for n in range(10)]
        print([result.get(timeout=30) for result in results])

        gate = manager.Event()
        result = pool.apply_async(hold, (gate,))
        assert result.ready() is False
        try:
            result.successful()
        except ValueError:
            print("not ready")
        try:
            result.get(timeout=0.1)
        except TimeoutError as error:
            print(type(error).__name__)
        result.wait(0.05)
        assert not result.ready()
        gate.set()
        result.wait()
        print(result.ready(), result.successful(), result.get())

        failed = pool.apply_async(fail, ("on purpose",))
        failed.wait()
        print(failed.ready(), failed.successful())
        try:
            failed.get()
        except ValueError as error:
            print("raised here:", error)
