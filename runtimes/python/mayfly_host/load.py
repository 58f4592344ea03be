"""From the text of `handler` to the object it names."""

import importlib
import importlib.util
import os
import sys


class LoadError(Exception):
    """The function cannot be loaded; `type` is what the error is called to the outside."""

    def __init__(self, type, message):
        super().__init__(message)
        self.type = type


def find(handler):
    """Splits `path/to/file.name` into (file, name); name is "" if the handler is only a file.

    The folder part may use slashes or dots, and `[id]` in a file's name is nothing special. A file
    that is there decides what is meant; one name behind the file is tried before none or several.
    """
    if handler.endswith(".py") and os.path.isfile(handler):
        return handler, ""
    parts = handler.split(".")
    for k in sorted(range(1, len(parts) + 1), key=lambda k: abs(len(parts) - 1 - k)):
        for path in ("/".join(parts[:k]), ".".join(parts[:k])):
            for file in (path + ".py", path + "/__init__.py"):
                if os.path.isfile(file):
                    return file, ".".join(parts[k:])
    path, dot, _ = handler.rpartition(".")
    path = (path if dot else handler).replace(".", "/")
    raise LoadError(
        "Runtime.ImportModuleError",
        "there is no file %s.py in %s%s" % (path, os.getcwd(), _files_beside(path)))


def _files_beside(path):
    folder = os.path.dirname(path) or "."
    try:
        files = sorted(f for f in os.listdir(folder) if f.endswith(".py"))
    except OSError:
        return " (nor a folder %s)" % folder
    where = "" if folder == "." else " in " + folder
    return " (there is %s%s)" % (", ".join(files[:10]) or "no Python file", where)


def load(file):
    """Imports the file, and returns the module.

    By its path, under its own name: so `[id].py` works, and no folder needs an __init__.py. A file
    in a package is imported by its full name, so that its relative imports work.
    """
    path = os.path.abspath(file)
    folder = os.path.dirname(path)
    parts = file[:-3].split("/")
    is_package = parts[-1] == "__init__"
    if is_package:
        parts.pop()
    if len(parts) > 1 and os.path.isfile(os.path.join(folder if not is_package else
                                                      os.path.dirname(folder), "__init__.py")):
        if all(part.isidentifier() for part in parts):
            return importlib.import_module(".".join(parts))
    if folder not in sys.path:
        sys.path.insert(1, folder)  # as `python3 api/users.py` would have it
    name = parts[-1]
    if name in sys.modules:  # the author's random.py is not what others import by that name
        name = "mayfly_" + name
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def resolve(module, file, name):
    """The object called `name` in the module. May have dots, for what a class holds."""
    thing = module
    for part in name.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            raise LoadError("Runtime.HandlerNotFound", "%s has no %r%s" % (
                file, name, _callables(module))) from None
    if not callable(thing):
        raise LoadError("Runtime.HandlerNotFound", "%r in %s is a %s, and cannot be called" % (
            name, file, type(thing).__name__))
    return thing


def _callables(module):
    names = [name for name, value in vars(module).items()
             if callable(value) and not name.startswith("_")
             and getattr(value, "__module__", module.__name__) == module.__name__]
    if not names:
        return "; it defines nothing that can be called"
    return "; it has " + ", ".join(names[:20])
