"""How the modules of cmp stand on those of the standard library.

A module of which cmp has nothing of its own yet is the standard library's module itself, under a second
name (`alias`): what is assigned to it or patched in it then holds for both. A module with something of its
own looks up all the rest in its counterpart (`fallback`), so that private names which other libraries touch
are there too, and are the live ones.
"""
import sys

__all__ = ["SameRepr", "alias", "fallback"]


def alias(name, module):
    """Make `import name` give `module`; called by the module of that name while it is imported."""
    sys.modules[name] = module


def fallback(module):
    """A module's __getattr__ that looks in `module`."""
    def __getattr__(name):
        try:
            return getattr(module, name)
        except AttributeError:
            own = module.__name__.replace("multiprocessing", "cmp", 1)
            raise AttributeError(f"module {own!r} has no attribute {name!r}") from None
    return __getattr__


class SameRepr:
    """Mixin: an object shows itself as the standard library's would, so that a program's output stays the same."""

    def __repr__(self):
        return super().__repr__().replace("<cmp.", "<multiprocessing.", 1)
