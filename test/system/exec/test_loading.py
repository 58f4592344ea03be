"""A program that cannot be started is told when the function is loaded, with what to do about it."""
import shutil
import struct
import subprocess

import pytest

from lib.zygote_harness import LoadFailed, Zygote

OK = "#!/bin/sh\necho ok\n"


def refused(program, *arguments, **more):
    with pytest.raises(LoadFailed) as caught:
        program(*arguments, **more)
    error = caught.value.error
    assert error["errorType"] == "LoadError"
    return error["errorMessage"]


def test_missing(host, tmp_path):
    with pytest.raises(LoadFailed) as caught:
        Zygote([host, tmp_path / "nothing"], cwd=tmp_path)
    assert caught.value.error["errorMessage"] == "there is no program ./nothing: No such file or directory"


def test_folder(host, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(LoadFailed) as caught:
        Zygote([host, "folder"], cwd=tmp_path)
    assert caught.value.error["errorMessage"] == "./folder is not a file"


def test_not_executable(program):
    assert refused(program, OK, mode=0o644) == "./program may not be executed; chmod +x ./program"


def test_missing_interpreter(program):
    message = refused(program, "#!/no/such/thing -x\n")
    assert message.startswith("./program needs /no/such/thing, which is not there; install it")


def test_missing_interpreter_with_its_package(program):
    message = refused(program, "#!/opt/nowhere/perl\n")
    assert message == "./program needs /opt/nowhere/perl, which is not there; apt install perl"


def test_missing_interpreter_behind_env(program):
    message = refused(program, "#!/usr/bin/env no-such-thing\n")
    assert message.startswith("./program needs no-such-thing, which is not there; install it")
    message = refused(program, "#!/usr/bin/env ruby\n", env={"PATH": "/nowhere"})
    assert message.endswith("apt install ruby")


@pytest.mark.parametrize("first_line", ["#!/usr/bin/env sh", "#! /bin/sh", "#!/usr/bin/env -S sh -e", "#!/bin/sh -e"])
def test_usual_first_lines(program, first_line):
    assert program(first_line + "\necho ok\n").request("GET", "/").body == b"ok\n"


def test_line_ends_of_windows(program):
    message = refused(program, "#!/bin/sh\r\necho ok\r\n")
    assert message.endswith("sed -i 's/\\r$//' ./program")


@pytest.mark.parametrize("source", ["echo ok\n", "", "\xef\xbb\xbf#!/bin/sh\n"])
def test_neither_binary_nor_script(program, source):
    assert "neither a binary nor a script" in refused(program, source)


def test_first_line_without_interpreter(program):
    assert "names no interpreter" in refused(program, "#!  \necho\n")


def elf(machine=None, type=None, interpreter=None, cut=None):
    """/bin/true, changed."""
    data = bytearray(open(shutil.which("true"), "rb").read())
    if machine is not None:
        struct.pack_into("<H", data, 18, machine)
    if type is not None:
        struct.pack_into("<H", data, 16, type)
    if interpreter:
        at = data.index(b"/lib")
        data[at:at + len(interpreter)] = interpreter
    return bytes(data[:cut])


def test_binary(program):
    assert program(elf()).request("GET", "/").status == 200


@pytest.mark.parametrize("changes, says", [
    ({"machine": 0xF3F3}, "built for another kind of machine"),
    ({"type": 1}, "not a program"),
    ({"interpreter": b"/nix"}, "was built for another C library"),
    ({"cut": 20}, "is cut off"),
])
def test_bad_binaries(program, changes, says):
    assert says in refused(program, elf(**changes))


def test_binary_outside_of_the_project(host, tmp_path):
    with Zygote([host, shutil.which("true")], cwd=tmp_path) as z:
        assert z.request("GET", "/").status == 200


def test_path_is_never_searched(host, tmp_path):
    with pytest.raises(LoadFailed) as caught:
        Zygote([host, "true"], cwd=tmp_path)
    assert "there is no program ./true" in caught.value.error["errorMessage"]


def test_isolation_instance_is_refused(program):
    with pytest.raises(LoadFailed) as caught:
        program(OK, isolation="instance")
    assert caught.value.error["errorType"] == "ConfigurationError"
    assert "started anew for each request" in caught.value.error["errorMessage"]


def test_usage(host):
    done = subprocess.run([host], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: mayfly-exec PROGRAM\n")
