"""Who hits a limit hears which one it was: in the answer, in the record and in the log; and the next
request of the same function finds nothing of it."""
import concurrent.futures
import json
import os

import pytest

from lib.daemon import ROOT, SANITIZED
from lib.http import Connection
from lib.process import wait_until
from lib.web import running

PROJECT = ROOT / "test" / "system" / "projects" / "limits"
MIB = 1 << 20

# (limit, what is said, used, maximum)
MEMORY = ("memory", "OutOfMemory: used 128 MB of 128 MB", 128 * MIB, 128 * MIB)
CPU_TIME = ("cpu_time", "CpuTime: 1.00 s of 1.00 s", 1000, 1000)
PROCESSES = ("processes", "TooManyProcesses: 24 of 24", 24, 24)
FILES = ("files", "TooManyFiles: 64 of 64", 64, 64)
FILE_SIZE = ("file_size", "FileTooLarge: more than 2 MB", 2 * MIB, 2 * MIB)
TMP = ("tmp", "TmpFull: 8 MB of 8 MB", 8 * MIB, 8 * MIB)
TMP_FILES = ("tmp_files", "TmpFull: 100 of 100 files", 100, 100)
RESPONSE = ("response", "ResponseTooLarge: more than 2 MB", 2 * MIB, 2 * MIB)

# (function, way, limit, outcome, status)
WAYS = [
    ("python", "memory", MEMORY, None, None),
    ("python", "memory_at_once", MEMORY, None, None),
    ("python", "memory_in_a_library", MEMORY, None, None),
    ("python", "cpu_time", CPU_TIME, "timeout", 504),
    ("python", "cpu_time_of_threads", CPU_TIME, "timeout", 504),
    ("python", "processes", PROCESSES, "error", 500),
    ("python", "threads", PROCESSES, "error", 500),
    ("python", "files", FILES, "error", 500),
    ("python", "files_behind_another_error", FILES, "error", 500),
    ("python", "file_size", FILE_SIZE, "error", 500),
    ("python", "tmp", TMP, "error", 500),
    ("python", "tmp_files", TMP_FILES, "error", 500),
    ("python", "response", RESPONSE, "bad_reply", 502),
    ("native", "memory", MEMORY, None, None),
    ("native", "memory_unchecked", MEMORY, None, None),
    ("native", "memory_abort", MEMORY, None, None),
    ("native", "cpu_time", CPU_TIME, "timeout", 504),
    ("native", "processes", PROCESSES, "error", 500),
    ("native", "files", FILES, "error", 500),
    ("native", "files_unchecked", FILES, "crash", 502),
    ("native", "file_size", FILE_SIZE, "error", 500),
    ("native", "tmp", TMP, "error", 500),
    ("native", "tmp_files", TMP_FILES, "error", 500),
    ("native", "response_announced", RESPONSE, "bad_reply", 502),
    ("exec", "memory", MEMORY, None, None),
    ("exec", "cpu_time", CPU_TIME, "timeout", 504),
    ("exec", "processes", PROCESSES, "error", 500),
    ("exec", "file_size", FILE_SIZE, "error", 500),
    ("exec", "tmp", TMP, "error", 500),
    ("exec", "tmp_files", TMP_FILES, "error", 500),
]


@pytest.fixture(scope="module")
def daemon():
    with running(PROJECT) as daemon:
        yield daemon


def profile(daemon):
    return wait_until(lambda: [w for w in daemon.log.split() if w.startswith("sandbox=")])[0].partition("=")[2]


def need(daemon, limit):
    """What cannot be limited here is skipped, with the reason."""
    if limit == "memory" and SANITIZED:
        pytest.skip("a sanitizer's shadow memory is no function's")
    if limit == "processes" and profile(daemon) == "user" and os.geteuid() == 0:
        pytest.skip("the kernel counts no processes of root's, and this profile has no other user")
    if profile(daemon) == "degraded" and limit in ("tmp", "tmp_files", "processes"):
        pytest.skip("without namespaces there is no /tmp and no user id for each worker")


def system_lines(daemon, request_id):
    lines = [json.loads(line) for line in daemon.stdout.splitlines() if '"system"' in line and line.endswith("}")]
    return [line["text"] for line in lines if line.get("request_id") == request_id and line["stream"] == "system"]


def told(record):
    return tuple(record[key] for key in ("limit", "error", "limit_used", "limit_max"))


@pytest.mark.core
@pytest.mark.parametrize("function, way, limit, outcome, status", WAYS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_limit_is_named_in_answer_record_and_log(daemon, function, way, limit, outcome, status):
    need(daemon, limit[0])
    answer = daemon.post("/" + function, way)
    record = daemon.record(answer)
    error = answer.json()
    if limit is MEMORY:  # refused, which the function is told, or killed by its control group's limit
        outcome, status = record["outcome"], {"error": 500, "crash": 502}[record["outcome"]]
        assert limit[3] * 7 // 8 <= record["limit_used"] <= limit[3]
        record["limit_used"] = limit[2]
    assert (answer.status, error["errorMessage"]) == (status, limit[1]), (answer, record, daemon.log)
    assert error["errorType"] == limit[1].replace(" after", ":").split(":")[0]
    assert error["requestId"] == answer.request_id and set(error) == {"errorType", "errorMessage", "requestId"}
    assert told(record) == limit and (record["outcome"], record["status"]) == (outcome, status)
    assert system_lines(daemon, answer.request_id) == [limit[1]]
    assert daemon.post("/" + function, "nothing").text.strip('"\n') == "fine"


@pytest.mark.core
def test_the_timeout_is_named(daemon):
    answer = daemon.post("/short", "timeout")
    assert answer.status == 504
    assert (answer.json()["errorType"], answer.json()["errorMessage"]) == ("Timeout", "Timeout after 0.50 s")
    record = daemon.record(answer)
    assert told(record) == ("timeout", "Timeout after 0.50 s", 500, 500) and record["outcome"] == "timeout"
    assert "in timeout" in record["stack"], record
    assert system_lines(daemon, answer.request_id) == ["Timeout after 0.50 s"]


@pytest.mark.parametrize("function", ["native", "exec"])
def test_an_answer_that_streams_beyond_the_limit_breaks_off(daemon, function):
    with daemon.connect() as connection:
        with pytest.raises((EOFError, ConnectionError)):
            connection.request("POST", "/" + function, "response")
    record = wait_until(lambda: next((r for r in daemon.records if r["limit"] == "response" and
                                      r["function"] == function and r["bytes_out"] < 3 * MIB and
                                      r["status"] == 200), None))
    assert told(record) == RESPONSE and record["outcome"] == "bad_reply"
    assert system_lines(daemon, record["request_id"]) == [RESPONSE[1]]
    assert daemon.post("/" + function, "nothing").text == "fine" + "\n" * (function == "exec")


def test_an_answer_as_large_as_the_limit_is_whole(daemon):
    answer = daemon.post("/python", "response_exact")
    assert (answer.status, len(answer.body)) == (200, 2 * MIB)
    assert daemon.record(answer)["limit"] == ""


@pytest.mark.core
@pytest.mark.parametrize("function, way, printed", [
    ("python", "log", 3000 * 1000), ("python", "log_of_empty_lines", 3 * MIB), ("python", "log_without_lines", 3 * MIB),
    ("native", "log", 3000 * 1000), ("exec", "log", 3 * MIB),
])
def test_a_flood_of_output_is_cut_counted_and_told(daemon, function, way, printed):
    answer = daemon.post("/" + function, way)
    record = daemon.record(answer)
    assert answer.status == 200 and answer.text.strip('"\n') == "done"
    assert (record["outcome"], record["limit"], record["limit_max"]) == ("ok", "log", MIB)
    lines = [json.loads(line) for line in daemon.stdout.splitlines()
             if answer.request_id in line and line.startswith('{"type":"log"')]
    kept = [line["text"] for line in lines if line["stream"] != "system"]
    assert record["log_lines"] >= len(kept)  # control may have lost some, and says so
    if record["log_lines"] == len(kept) and way != "log_without_lines":
        assert sum(len(text) + 1 for text in kept) + record["log_dropped"] == pytest.approx(printed, abs=1)
    assert sum(len(text) for text in kept) <= MIB
    assert system_lines(daemon, answer.request_id) == [
        f"LogTooLarge: more than 1 MB: {record['log_dropped']} bytes more were dropped"]


def test_output_as_large_as_the_limit_is_whole(daemon):
    record = daemon.record(daemon.post("/python", "log_exact"))
    assert (record["limit"], record["log_dropped"], record["log_lines"]) == ("", 0, 1024)


@pytest.mark.parametrize("function, way, status", [
    ("python", "none_of_them", 500), ("native", "none_of_them", 500), ("native", "crash", 502), ("exec", "none_of_them", 500)])
def test_an_error_that_is_no_limits_is_not_called_one(daemon, function, way, status):
    need(daemon, "memory" if way == "crash" else "")
    answer = daemon.post("/" + function, way)
    record = daemon.record(answer)
    if (function, way) == ("python", "none_of_them"):
        assert record["limit"] in ("tmp", "")  # it says ENOSPC itself, and only its own record believes it
    else:
        assert (record["limit"], record["limit_used"], record["limit_max"]) == ("", 0, 0)
        assert answer.json()["errorType"] in ("FunctionError", "Crash")
    assert answer.status == status


@pytest.mark.core
@pytest.mark.parametrize("way, limit", [("files", FILES), ("cpu_time", CPU_TIME)])
def test_an_instance_has_each_limit_for_each_request(daemon, way, limit):
    """CPU time, open files and log belong to a request, not to the process' whole life."""
    for _ in range(4):
        assert daemon.post("/instance", "cpu_time_in_parts").status == 200
    answer = daemon.post("/instance", way)
    assert answer.json()["errorMessage"] == limit[1]
    assert told(daemon.record(answer)) == limit
    assert daemon.post("/instance", "nothing").text == '"fine"'


def test_a_limit_is_named_for_the_one_who_hit_it(daemon):
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        others = [pool.submit(daemon.post, "/python", "a_moment") for _ in range(8)]
        hit = pool.submit(daemon.post, "/python", "files").result()
    assert told(daemon.record(hit)) == FILES
    for other in others:
        assert other.result().status == 200 and daemon.record(other.result())["limit"] == ""


@pytest.mark.core
def test_the_api_has_the_same_record_and_the_functions_own_words(daemon):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        answer = connection.request("POST", "/api/v1/functions/native/invoke", "files")
    assert answer.headers["mayfly-outcome"] == "error"
    assert (answer.json()["errorType"], answer.json()["errorMessage"]) == ("TooManyFiles", FILES[1])
    assert answer.json()["cause"] == {"errorType": "Refused", "errorMessage": "open: Too many open files", "stackTrace": []}
    record = wait_until(lambda: (r := daemon.api("GET", f"/api/v1/records/{answer.request_id}")).status == 200 and r.json())
    assert told(record) == FILES


@pytest.mark.core
def test_the_command_line_names_it(daemon):
    done = daemon.cli("invoke", "python", input='{"body": "files"}', code=6)
    assert "error: TooManyFiles: 64 of 64" in done.stderr
    done = daemon.cli("invoke", "short", input='{"body": "timeout"}', code=7)
    assert "timeout: Timeout after 0.50 s" in done.stderr


def test_people_read_it_once(mayfly):
    daemon = mayfly(PROJECT, command="dev")
    answer = daemon.post("/native", "files")
    assert answer.json()["cause"]["errorType"] == "Refused"
    daemon.post("/python", "log")
    printed = wait_until(lambda: (out := daemon.stdout).count("bytes more were dropped") and out)
    assert printed.count(FILES[1]) == 1
    assert "* LogTooLarge: more than 1 MB: " in printed


def test_a_long_error_stays_json_in_the_record(daemon):
    record = daemon.record(daemon.post("/python", "long_error"))
    error = json.loads(record["stack"])
    assert error["errorType"] == "ValueError" and set(error["errorMessage"]) == {"y"}
    assert 16000 < len(record["stack"]) <= 16384
