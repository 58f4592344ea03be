"""From a .c or .so file to a zygote that is ready, or says why it is not."""
import subprocess
import time

import pytest

from lib.zygote_harness import LoadFailed, Zygote, lib_dir

HELLO = """
    #include <mayfly.h>
    int handler(mayfly_request *q, mayfly_response *p) { return mayfly_puts(p, "hello"); }
"""
HOOKS = """
    #include <mayfly.h>
    #include <stdio.h>
    #include <stdlib.h>
    static int n_inits, n_warmups;
    int handler(mayfly_request *q, mayfly_response *p)
    {
        return mayfly_printf(p, "%d %d", n_inits, n_warmups);
    }
    int mayfly_init(void)
    {
        n_inits++;
        printf("loading");
        if (getenv("FAIL"))
            return mayfly_fail(NULL, "NoTable", "cannot open %s", getenv("FAIL"));
        return getenv("RETURN") ? atoi(getenv("RETURN")) : 0;
    }
    void mayfly_warmup(void) { n_warmups++; }
"""


@pytest.fixture(params=["static", "shared"])
def zygote_of(request, build, so_host):
    """Both ways to host a source."""
    def start(source, **more):
        if request.param == "static":
            return Zygote([build(source)], cwd="/", **more)
        return Zygote([so_host, build(source, shared=True), "handler"], cwd="/", **more)
    return start


def test_hello(zygote_of):
    with zygote_of(HELLO) as z:
        assert z.request("GET", "/").body == b"hello"
        assert z.log == ""


def test_hooks_run_once_in_the_zygote_and_once_in_each_standby(zygote_of):
    with zygote_of(HOOKS) as z:
        for _ in range(3):
            worker = z.fork()
            time.sleep(0.2)  # it is a standby now
            assert worker.request("GET", "/").body == b"1 1"
            assert worker.end().stdout == ""
        assert z.log == "loading"  # and not again in each worker


def test_init_that_fails_says_why(zygote_of):
    with pytest.raises(LoadFailed) as caught:
        zygote_of(HOOKS, env={"FAIL": "table.bin"})
    assert caught.value.error == {
        "errorType": "NoTable", "errorMessage": "cannot open table.bin", "stackTrace": []}
    assert caught.value.log == "loading"


def test_init_that_fails_without_a_word(zygote_of):
    with pytest.raises(LoadFailed) as caught:
        zygote_of(HOOKS, env={"RETURN": "5"})
    assert caught.value.error["errorMessage"] == "mayfly_init() returned 5"


def test_instance_serves_one_after_the_other(zygote_of):
    source = """
        #include <mayfly.h>
        #include <stdio.h>
        static int n;
        int handler(mayfly_request *q, mayfly_response *p)
        {
            printf("request %d\\n", n + 1);
            if (mayfly_param(q, "fail"))
                return ++n;
            return mayfly_printf(p, "%d %s", ++n, mayfly_param(q, "a"));
        }
    """
    with zygote_of(source, isolation="instance") as z:
        worker = z.fork()
        worker.send_head("POST", "/?a=x", length=60000)
        worker.sock.sendall(b"unread" * 10000)
        assert worker.read_reply().body == b"1 x"
        assert worker.request("GET", "/?fail").status == 500
        assert worker.request("GET", "/?a=" + "y" * 9000).body == b"3 " + b"y" * 9000
        assert worker.request("GET", "/?a=z").body == b"4 z"
        worker.sock.shutdown(1)
        ended = worker.end()
        assert ended.exit_code == 0
        assert ended.stdout == "".join(f"request {i}\n" for i in range(1, 5))


def test_works_as_pid_1_of_its_own_namespace(build):
    try:
        subprocess.run(["unshare", "--pid", "--fork", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no PID namespaces here")
    with Zygote([build(HELLO)], cwd="/", own_pid_namespace=True) as z:
        assert z.request("GET", "/").body == b"hello"


# ---- shared libraries ----


def load(so_host, *arguments, cwd="/"):
    with pytest.raises(LoadFailed) as caught:
        Zygote([so_host, *arguments], cwd=cwd)
    error = caught.value.error
    assert error["errorType"] == "LoadError"
    return error["errorMessage"]


def test_shared_library_by_its_name_alone(build, so_host):
    library = build(HELLO, shared=True)
    with Zygote([so_host, library.name, "handler"], cwd=library.parent) as z:
        assert z.request("GET", "/").body == b"hello"


def test_missing_library_is_told(so_host):
    assert "/no/such.so" in load(so_host, "/no/such.so", "handler")


def test_missing_symbol_is_told_with_those_that_are_there(build, so_host):
    library = build(HOOKS, shared=True)
    message = load(so_host, library, "handel")
    assert "exports no function handel; it exports handler" in message


def test_hidden_symbol_is_told_with_the_mend(build, so_host):
    library = build("""
        #include <mayfly.h>
        __attribute__((visibility("hidden"))) int handler(mayfly_request *q, mayfly_response *p) { return 0; }
    """, shared=True)
    assert "MAYFLY_EXPORT" in load(so_host, library, "handler")


def test_library_that_needs_what_is_not_there(build, so_host):
    library = build("""
        #include <mayfly.h>
        int not_to_be_found(void);
        int handler(mayfly_request *q, mayfly_response *p) { return not_to_be_found(); }
    """, shared=True)
    assert "not_to_be_found" in load(so_host, library, "handler")


def test_library_that_is_none(tmp_path, so_host):
    (tmp_path / "a.so").write_text("no ELF")
    assert "a.so" in load(so_host, tmp_path / "a.so", "handler")


# ---- the header and the archive ----


def test_header_is_good_for_cpp_and_strict_c(tmp_path):
    header = lib_dir() / "include"
    for name, command in (("a.cc", ["c++", "-std=c++11"]), ("a.c", ["cc", "-std=c11"])):
        (tmp_path / name).write_text("#include <mayfly.h>\n#include <mayfly.h>\nint x = sizeof(mayfly_handler *);\n")
        subprocess.run([*command, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{header}",
                        tmp_path / name], check=True)


def test_archive_has_no_names_but_those_of_the_header():
    symbols = subprocess.run(["nm", "--defined-only", "--extern-only", lib_dir() / "native/libmayfly-native.a"],
                             capture_output=True, text=True, check=True).stdout
    names = {line.split()[2] for line in symbols.splitlines() if len(line.split()) == 3}
    assert "main" in names and "mayfly_method" in names
    assert [n for n in names if n != "main" and not n.startswith(("mayfly_", "__odr_asan"))] == []


def test_archive_has_all_of_the_header(build):
    text = (lib_dir() / "include/mayfly.h").read_text()
    import re
    declared = set(re.findall(r"MAYFLY_EXPORT [^;]*?\b(mayfly_\w+)\(", text)) - {"mayfly_init", "mayfly_warmup"}
    symbols = subprocess.run(["nm", lib_dir() / "native/libmayfly-native.a"], capture_output=True, text=True,
                             check=True).stdout
    assert declared <= set(re.findall(r" T (\w+)", symbols))
    assert len(declared) > 20


def test_stays_small(build, sanitized):
    """What a fork costs: mappings and pages that are touched."""
    if sanitized:
        pytest.skip("sanitizers are not small")
    with Zygote([build(HELLO)], cwd="/") as z:
        with open(f"/proc/{z.process.pid}/maps", encoding="ascii") as maps:
            assert len(maps.readlines()) <= 20
        assert sorted(z.request("GET", "/").ended.minor_faults for _ in range(9))[4] <= 22
