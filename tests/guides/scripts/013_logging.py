"""The package's own logger: get_logger(), log_to_stderr(), and what children write to it."""
import io
import logging
import multiprocessing


def work(conn):
    logger = multiprocessing.get_logger()
    conn.send((logger.name, logger.getEffectiveLevel()))
    logger.info("child at work")


if __name__ == "__main__":
    logger = multiprocessing.log_to_stderr()
    assert logger is multiprocessing.get_logger()
    logger.setLevel(logging.INFO)
    captured = io.StringIO()
    handler = logging.StreamHandler(captured)
    handler.setFormatter(logging.Formatter("%(levelname)s %(processName)s: %(message)s"))
    logger.addHandler(handler)

    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=work, args=(there,))
    process.start()
    name, level = here.recv()
    process.join()
    assert (name, level) == ("multiprocessing", logging.INFO)
    print("child's logger:", name, logging.getLevelName(level))

    logger.info("parent says so")
    logger.debug("too quiet to be kept")
    lines = captured.getvalue().splitlines()
    assert "INFO MainProcess: parent says so" in lines and not any("quiet" in line for line in lines)
    print([line for line in lines if "says" in line])
