"""The input of the demonstration: the Python sources of the standard library, about 12 MB of real text."""
import os
import sysconfig

LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages"}


def root():
    return sysconfig.get_paths()["stdlib"]


def files():
    """Paths of all its modules, in order."""
    found = []
    for folder, folders, names in os.walk(root()):
        folders[:] = set(folders) - LEFT_OUT
        found += [os.path.join(folder, name) for name in names if name.endswith(".py")]
    return sorted(found)


def short(path):
    """The path as the report prints it."""
    return os.path.relpath(path, root())


def shares(items, count):
    """The items dealt out to `count` processes."""
    return [items[i::count] for i in range(count)]
