"""python -m cmp: run a program as python itself would, with `import multiprocessing` meaning cmp."""
import importlib.machinery
import importlib.util
import io
import linecache
import os
import pkgutil
import runpy
import sys
import types

from . import _hook
from ._version import version

__all__ = ["main"]

USAGE = """\
usage: python -m cmp [script.py | directory | zip file | -m module | -c code | -] [arguments ...]

Runs the program as python would; `import multiprocessing` in it, in its libraries and in all its child
processes means cmp. Without a program, reads it from standard input.

  -m module   run a library module as the program
  -c code     run the code given as text
  -h, -V      print this text, the version

python -m cmp.info tells what this machine offers to cmp."""


def main():
    """Run what the command line says."""
    arguments = sys.argv[1:]
    first = arguments[0] if arguments else "-"
    if first in ("-h", "--help"):
        print(USAGE)
    elif first in ("-V", "--version"):
        print(f"cmp {version} (Python {sys.version.split()[0]})")
    elif first == "-":
        run_stdin(arguments or [""])
    elif first[:2] in ("-m", "-c"):
        run_option(first, arguments[1:])
    elif first.startswith("-"):
        fail(f"unknown option {first}; options of Python come before: python {first} -m cmp ...\n{USAGE}")
    else:
        run_path(arguments)


def fail(message):
    sys.stderr.write(message + "\n")
    sys.exit(2)


def run_option(option, rest):
    text = option[2:]
    if not text:
        if not rest:
            fail(f"argument expected for the {option} option\n{USAGE}")
        text, *rest = rest
    (run_module if option[1] == "m" else run_code)(text, rest)


def run_module(name, rest):
    become("-m", rest, path_entry=None)
    program(lambda: runpy._run_module_as_main(name))


def run_code(text, rest):
    module = become("-c", rest, path_entry="")
    run_text(module, text, "<string>")


def run_stdin(arguments):
    module = become(arguments[0], arguments[1:], path_entry="")
    if sys.stdin is None or not sys.stdin.isatty():
        comes_from(module, "<stdin>")
        run_text(module, sys.stdin.buffer.read() if sys.stdin else b"", "<stdin>")
        return
    import code
    _hook.install()
    code.interact(f"cmp {version}, Python {sys.version}", local=vars(module), exitmsg="")


def run_text(module, text, filename):
    def run():
        compiled = compile(text, filename, "exec", dont_inherit=True)
        if isinstance(text, str):
            show_lines(text, filename, compiled)
        exec(compiled, vars(module))
    program(run)


def show_lines(text, filename, code):
    """Let tracebacks show the lines of -c, where python itself does so."""
    if sys.version_info >= (3, 14):
        linecache._register_code(code, text, filename)
    elif sys.version_info >= (3, 13):
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def run_path(arguments):
    argv0, *rest = arguments
    path = os.path.join(current_folder(), argv0)
    if (pkgutil.get_importer(path) is not None and not os.path.isfile(path)) or is_archive(path):
        become(argv0, rest, path_entry=path)
        program(lambda: runpy._run_module_as_main("__main__", alter_argv=False))
        return
    try:
        with io.open_code(path) as file:
            text = file.read()
    except OSError as error:
        fail(f"{sys.orig_argv[0]}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}")
    module = become(argv0, rest, path_entry=os.path.dirname(os.path.realpath(path)))
    compiled_already = text.startswith(importlib.util.MAGIC_NUMBER)
    loader = importlib.machinery.SourcelessFileLoader if compiled_already else importlib.machinery.SourceFileLoader
    comes_from(module, path, loader("__main__", path))

    def run():
        if compiled_already:
            code = module.__loader__.get_code("__main__")
        else:
            code = compile(text, path, "exec", dont_inherit=True)
        exec(code, vars(module))
    program(run)


def comes_from(module, path, loader=importlib.machinery.BuiltinImporter):
    vars(module).update(__file__=path, __loader__=loader)
    if sys.version_info < (3, 15):
        vars(module).update(__cached__=None)


def current_folder():
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""


def is_archive(path):
    importer = pkgutil.get_importer(path)
    return importer is not None and not isinstance(importer, importlib.machinery.FileFinder)


def become(argv0, rest, path_entry):
    """Take away what belongs to this runner and not to the program: its arguments, path and __main__."""
    sys.argv[:] = [argv0, *rest]
    if path_entry is not None and not sys.flags.safe_path and current_folder():
        sys.path[0] = path_entry  # in place of the current folder, which -m put there
    elif path_entry is not None and (not sys.flags.safe_path or is_archive(path_entry)):
        sys.path.insert(0, path_entry)
    module = types.ModuleType("__main__")
    vars(module).update(__builtins__=sys.modules["builtins"], __loader__=importlib.machinery.BuiltinImporter)
    if sys.version_info < (3, 14):
        vars(module).update(__annotations__={})
    # Under its second name too, by which objects of its classes come back from spawned children.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    return module


def program(run):
    """Run the program; if it fails, its traceback begins with its own first line."""
    _hook.install()
    try:
        run()
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook = without_runner(sys.excepthook)
        raise


def without_runner(hook):
    def excepthook(kind, error, traceback):
        sys.excepthook = hook
        own = [entry for entry in entries(traceback) if entry.tb_frame.f_code.co_filename == __file__]
        if own:
            sys.last_traceback = traceback = own[-1].tb_next
            error = error.with_traceback(traceback)
        hook(kind, error, traceback)
    return excepthook


def entries(traceback):
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
