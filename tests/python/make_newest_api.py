"""Write newest_api.json: what the newest CPython's multiprocessing offers, which cmp offers on every CPython.

    python3.15 make_newest_api.py >newest_api.json
"""
import ast
import importlib
import inspect
import json
import multiprocessing
import pkgutil
import platform

ELSEWHERE = {"popen_spawn_win32"}  # not for Linux
INSTANCES = ("Barrier", "BoundedSemaphore", "Condition", "Event", "JoinableQueue", "Lock", "Queue", "RLock",
             "Semaphore", "SimpleQueue")
# Special methods that say how an object is stored or that every class has, not what it can do.
INTERNAL = {"__del__", "__getattr__", "__getstate__", "__new__", "__reduce__", "__reduce_ex__", "__setstate__",
            "__subclasshook__", "__init_subclass__"}


def parameters(function):
    """[name, kind, has a default] of each parameter; None where the function does not tell."""
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, p.default is not p.empty] for p in signature.parameters.values()]


def is_public(name):
    return not name.startswith("_") or (name.startswith("__") and name not in INTERNAL)


def members(kind):
    """The public members that multiprocessing gave the class: name -> parameters, None for what is no method."""
    found = {}
    for owner in reversed(kind.__mro__):
        if is_ours(owner):
            for name, value in vars(owner).items():
                if is_public(name) and (callable(value) or hasattr(type(value), "__get__")):
                    found[name] = value
    return {name: parameters(getattr(kind, name)) if inspect.isroutine(inspect.getattr_static(kind, name)) else None
            for name, value in sorted(found.items()) if value is not None and name not in ("__dict__", "__weakref__")}


def is_ours(thing):
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "multiprocessing"


def describe(value):
    if inspect.isclass(value) and is_ours(value):
        return {"class": members(value)}
    if inspect.isroutine(value) and is_ours(value):
        return {"function": parameters(value)}
    return {}


def bound_at_the_top(tree):
    """The names that a module's own statements define; imports aside."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (name.id for target in node.targets for name in ast.walk(target)
                        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))
        elif isinstance(node, (ast.If, ast.Try)):
            for part in (node, *getattr(node, "handlers", ())):
                yield from bound_at_the_top(part)
            yield from bound_at_the_top(ast.Module([*node.orelse, *getattr(node, "finalbody", ())], []))


def public_names(module):
    own = set(bound_at_the_top(ast.parse(inspect.getsource(module)))) | set(getattr(module, "__all__", ()))
    return sorted(name for name in own if not name.startswith("_") and hasattr(module, name))


def modules():
    yield "", multiprocessing
    for found in pkgutil.walk_packages(multiprocessing.__path__):
        if found.name not in ELSEWHERE:
            yield found.name, importlib.import_module("multiprocessing." + found.name)
    yield "dummy.connection", importlib.import_module("multiprocessing.dummy.connection")


def methods_of_instance(name):
    made = getattr(multiprocessing, name)(*[1] * (name == "Barrier"))
    return {key: parameters(value) for key, value in sorted(vars(made).items()) if is_public(key) and callable(value)}


def text(value, newline="\n"):
    """As JSON, one line for each function, member of a class and other name."""
    if not isinstance(value, dict) or not value or "function" in value:
        return json.dumps(value)
    inner = newline + " "
    items = (f"{inner}{json.dumps(key)}: {text(item, inner)}" for key, item in value.items())
    return "{" + ",".join(items) + newline + "}"


def main():
    api = {
        "python": platform.python_version(),
        "modules": {name: {key: describe(getattr(module, key)) for key in public_names(module)}
                    for name, module in modules()},
        "instances": {name: methods_of_instance(name) for name in INSTANCES},
    }
    print(text(api))


if __name__ == "__main__":
    main()
