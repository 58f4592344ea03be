"""Builds C handlers as control does it, and runs them as zygotes."""
import os
import subprocess
from pathlib import Path

import pytest

from lib.zygote_harness import Zygote, lib_dir

HERE = Path(__file__).parent
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def is_sanitized():
    symbols = subprocess.run(["nm", lib_dir() / "native/libmayfly-native.a"], capture_output=True, check=True)
    return b"__asan_init" in symbols.stdout


@pytest.fixture(scope="session")
def sanitized():
    if is_sanitized():
        os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")  # what exit() leaves is no leak
        return True
    return False


@pytest.fixture
def plain(sanitized):
    """For tests of what happens in a crash, which is the sanitizers' affair in their builds."""
    if sanitized:
        pytest.skip("crashes are the sanitizer's")


@pytest.fixture(scope="session")
def build(tmp_path_factory, sanitized):
    """build(source, name) makes the zygote of a handler; with shared=True a shared library."""
    folder = tmp_path_factory.mktemp("native")
    lib = lib_dir()

    def run(*command):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def make(source, name="handler", shared=False):
        if isinstance(source, str):
            path = folder / f"{abs(hash(source))}.c"
            path.write_text(source)
            source = path
        program = folder / f"{source.stem}-{name}{'.so' if shared else ''}"
        flags = ["-O2", "-g", f"-I{lib}/include", *(SANITIZERS if sanitized else [])]
        if program.exists():
            pass
        elif shared:
            run("cc", *flags, "-fPIC", "-shared", "-o", program, source)
        else:
            glue = folder / f"glue-{name}.c"
            glue.write_text("#include <mayfly.h>\nmayfly_handler " + name + ";\n"
                            "extern mayfly_handler *const mayfly_entry;\n"
                            "mayfly_handler *const mayfly_entry = " + name + ";\n")
            run("cc", *flags, *([] if sanitized else ["-static"]), "-o", program, source, glue,
                lib / "native/libmayfly-native.a", "-lm")
        return program

    return make


@pytest.fixture(scope="session")
def so_host():
    return lib_dir() / "native/mayfly-native-so"


@pytest.fixture(scope="module")
def zygote(build):
    """handlers.c, which answers by path."""
    with Zygote([build(HERE / "handlers.c", "dispatch")], cwd=HERE) as z:
        yield z
