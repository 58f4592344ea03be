"""GET /metrics: the numbers are true, the names are those of docs/METRICS.md, the format holds."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from lib.daemon import ROOT, write_project
from lib.exposition import Page
from lib.http import Connection
from lib.process import wait_until
from lib.workload import Call, Load, busy_pids, kill, processes, programs, work_project, zygote_pid


def scrape(daemon, **headers):
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        response = connection.request("GET", "/metrics", headers=headers)
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(response.body.decode())


def when(daemon, is_true, what="the numbers"):
    """The first page for which it holds: a request is counted when its worker has ended."""
    return wait_until(lambda: (lambda page: page if is_true(page) else None)(scrape(daemon)), what)


def invocations(page, fn, outcome, trigger="http"):
    return page.get("mayfly_invocations_total", fn=fn, trigger=trigger, outcome=outcome)


def documented():
    """{name: (type, labels)} of the table in docs/METRICS.md."""
    table = {}
    for line in (ROOT / "docs/METRICS.md").read_text().splitlines():
        row = re.fullmatch(r"\| `(\w+)` \| (counter|gauge|histogram) \|(.*?)\| .* \|", line)
        if row:
            table[row[1]] = row[2], set(re.findall(r"`(\w+)`", row[3]))
    return table


ENDS = {
    "api/ends.py": """
        import os, time
        def handler(event, context):
            how = (event.get("queryStringParameters") or {}).get("how", "ok")
            if how == "raise":
                raise ValueError("no")
            if how == "crash":
                os._exit(3)
            if how == "slow":
                time.sleep(30)
            if how == "print":
                print("a line\\nanother")
            return {"statusCode": 200, "body": "x" * 1000}
    """,
    "mayfly.json": {"functions": {"api/ends": {"timeout": 2, "memory": 64}}},
}


@pytest.mark.core
def test_each_request_is_counted_once_by_its_outcome(mayfly):
    daemon = mayfly(ENDS)
    for _ in range(20):
        assert daemon.get("/api/ends").status == 200
    for how, n in (("raise", 3), ("crash", 2), ("slow", 1), ("print", 4)):
        for _ in range(n):
            daemon.get(f"/api/ends?how={how}")
    daemon.post("/api/ends", b"y" * 500)
    daemon.cli("invoke", "api/ends")
    page = when(daemon, lambda p: p.sum("mayfly_invocations_total", fn="api/ends") == 32)
    assert invocations(page, "api/ends", "ok") == 25
    assert invocations(page, "api/ends", "ok", "invoke") == 1
    assert invocations(page, "api/ends", "error") == 3
    assert invocations(page, "api/ends", "crash") == 2
    assert invocations(page, "api/ends", "timeout") == 1
    assert page.get("mayfly_timeouts_total", fn="api/ends") == 1
    assert page.get("mayfly_coldstarts_total", fn="api/ends") == 1
    assert page.get("mayfly_init_duration_seconds_count", fn="api/ends") == 1
    for name in ("invoke", "wait", "total"):
        assert page.get(f"mayfly_{name}_duration_seconds_count", fn="api/ends") == 32
    assert 2 <= page.get("mayfly_invoke_duration_seconds_sum", fn="api/ends") < 60
    assert page.get("mayfly_invoke_duration_seconds_bucket", fn="api/ends", le="1.0") == 31
    assert page.get("mayfly_log_lines_total", fn="api/ends") >= 8
    assert page.get("mayfly_request_bytes_total", fn="api/ends") >= 500
    assert page.get("mayfly_response_bytes_total", fn="api/ends") >= 26 * 1000
    assert page.get("mayfly_spawn_seconds_count", fn="api/ends") >= 32
    assert page.get("mayfly_memory_limit_bytes", fn="api/ends") == 64 << 20


@pytest.mark.core
def test_the_sums_are_those_of_the_records(mayfly):
    daemon = mayfly(work_project(work={}))
    ids = [daemon.get("/work?say=hello").request_id for _ in range(40)]
    records = [daemon.record(i) for i in ids]
    page = when(daemon, lambda p: invocations(p, "work", "ok") == 40)

    def total(field):
        return sum(r[field] for r in records)

    assert page.get("mayfly_cpu_seconds_total", fn="work") == pytest.approx(
        (total("user_us") + total("system_us")) / 1e6, abs=1e-6)
    assert page.get("mayfly_cpu_system_seconds_total", fn="work") == pytest.approx(total("system_us") / 1e6, abs=1e-6)
    assert page.get("mayfly_page_faults_total", fn="work", kind="minor") == total("minor_faults")
    assert page.get("mayfly_context_switches_total", fn="work", kind="voluntary") == total("voluntary_switches")
    assert page.get("mayfly_response_bytes_total", fn="work") == total("bytes_out")
    assert page.get("mayfly_log_lines_total", fn="work") == total("log_lines")
    assert page.get("mayfly_invoke_duration_seconds_sum", fn="work") == pytest.approx(total("run_ns") / 1e9, abs=1e-6)
    assert page.get("mayfly_memory_peak_bytes", fn="work") == max(r["memory_peak_bytes"] for r in records)


def test_names_types_and_labels_are_those_that_the_documentation_lists(mayfly):
    daemon = mayfly(work_project(work={"concurrency": 1, "queue": 0}))
    assert daemon.get("/work").status == 200
    wait_until(lambda: not processes(daemon, "worker"))
    call = Call(daemon, "/work?sleep=3")
    busy_pids(daemon, "work")
    assert daemon.get("/work").status == 429
    call.result()
    page = when(daemon, lambda p: invocations(p, "work", "ok") == 2)
    table = documented()
    assert list(table) == list(page.families)
    for name, (kind, labels) in table.items():
        assert page.families[name].type == kind, name
        if page.families[name].samples:
            assert page.labels(name) == labels, name


def test_why_a_request_was_refused_is_told(mayfly):
    daemon = mayfly(work_project(
        narrow={"concurrency": 1, "queue": 0}, slow={"concurrency": 1, "queue_timeout": 0.3},
        rated={"rate": 1}))
    for name in ("narrow", "slow", "rated"):
        assert daemon.get(f"/{name}").status == 200
    wait_until(lambda: not processes(daemon, "worker"))
    first = [Call(daemon, "/narrow?sleep=4"), Call(daemon, "/slow?sleep=4")]
    busy_pids(daemon, "narrow"), busy_pids(daemon, "slow")
    statuses = [daemon.get("/narrow").status, daemon.get("/slow").status]
    while daemon.get("/rated").status != 429:
        pass
    assert statuses == [429, 503]
    page = scrape(daemon)
    assert page.get("mayfly_throttled_total", fn="narrow", reason="queue") == 1
    assert page.get("mayfly_throttled_total", fn="slow", reason="queue_timeout") == 1
    assert page.get("mayfly_throttled_total", fn="rated", reason="rate") == 1
    assert invocations(page, "narrow", "throttled") == 1
    assert invocations(page, "slow", "unavailable") == 1
    for call in first:
        call.result()


def test_what_goes_on_now_is_told(mayfly):
    daemon = mayfly(work_project(work={"concurrency": 2, "queue_timeout": 60}))
    assert daemon.get("/work").status == 200
    calls = [Call(daemon, "/work?sleep=4") for _ in range(5)]
    page = when(daemon, lambda p: p.get("mayfly_concurrent", fn="work") == 2
                and p.get("mayfly_queue_depth", fn="work") == 3
                and p.get("mayfly_queue_oldest_age_seconds", fn="work") > 0)
    assert page.get("mayfly_workers", state="busy") == 2
    assert page.get("mayfly_zygotes", state="warm") == 1
    assert page.get("mayfly_functions") == 1
    assert page.get("mayfly_connections") >= 5 + 1
    assert page.get("mayfly_control_up") == 1
    for call in calls:
        call.result()
    page = when(daemon, lambda p: p.get("mayfly_concurrent", fn="work") == 0
                and invocations(p, "work", "ok") == 6)
    assert page.get("mayfly_queue_depth", fn="work") == 0
    assert page.get("mayfly_queue_oldest_age_seconds", fn="work") == 0
    assert page.get("mayfly_workers", state="standby") == page.get("mayfly_standbys", fn="work")


def test_the_gateway_tells_of_itself(mayfly):
    daemon = mayfly(work_project(work={}))
    page = scrape(daemon)
    pid = programs(daemon)["gateway"]
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * 4096
    assert page.get("process_resident_memory_bytes") == pytest.approx(resident, rel=0.2)
    assert page.get("process_virtual_memory_bytes") > page.get("process_resident_memory_bytes")
    assert page.get("process_start_time_seconds") > 1.7e9
    assert 5 < page.get("process_open_fds") < page.get("process_max_fds")
    assert page.get("process_cpu_seconds_total") > 0
    version = daemon.cli("version").stdout
    (_, labels), = page.families["mayfly_build_info"].samples
    assert dict(labels)["version"] in version


def test_a_function_without_requests_has_no_series_and_one_that_is_gone_keeps_its_own(mayfly):
    daemon = mayfly(work_project(old={}, idle={}))
    assert daemon.get("/old").status == 200
    page = when(daemon, lambda p: invocations(p, "old", "ok") == 1)
    assert 'fn="idle"' not in page.text
    project = work_project(new={})
    write_project(daemon.project, project)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.get("/new").status == 200)
    page = when(daemon, lambda p: invocations(p, "new", "ok") >= 1
                and p.get("mayfly_standbys", fn="old") == 0)
    assert invocations(page, "old", "ok") == 1
    assert ("mayfly_concurrent", (("fn", "old"),)) not in page.families["mayfly_concurrent"].samples


def test_a_load_that_fails_is_counted(mayfly):
    daemon = mayfly({"api/bad.py": "raise ValueError('at load')\ndef handler(event, context): pass\n"})
    assert daemon.get("/api/bad").status == 500
    page = when(daemon, lambda p: invocations(p, "api/bad", "init") == 1)
    assert page.get("mayfly_init_failures_total", fn="api/bad") == 1
    assert page.get("mayfly_invoke_duration_seconds_count", fn="api/bad") == 0


def test_counting_goes_on_while_control_is_killed(mayfly):
    daemon = mayfly(work_project(work={}))
    for n in range(1, 4):
        pid = wait_until(lambda: programs(daemon).get("control"))
        kill(pid)
        assert daemon.get("/work").status == 200
        when(daemon, lambda p: invocations(p, "work", "ok") == n)
        wait_until(lambda: programs(daemon).get("control") not in (None, pid))
    when(daemon, lambda p: p.get("mayfly_control_up") == 1)


def test_a_new_gateway_begins_at_nought_and_counts_no_load_that_was_not_its_own(mayfly):
    daemon = mayfly(work_project(work={}))
    assert daemon.get("/work").status == 200
    when(daemon, lambda p: invocations(p, "work", "ok") == 1)
    zygote = zygote_pid(daemon, "work")
    started = scrape(daemon).get("process_start_time_seconds")
    kill(programs(daemon)["gateway"])
    wait_until(lambda: programs(daemon).get("gateway"))

    def again():
        try:
            return daemon.get("/work").status == 200
        except (OSError, EOFError):
            return False

    wait_until(again)
    assert zygote_pid(daemon, "work") == zygote
    page = when(daemon, lambda p: invocations(p, "work", "ok") >= 1)
    assert page.get("process_start_time_seconds") > started
    assert page.get("mayfly_init_duration_seconds_count", fn="work") == 0


def test_lines_that_control_does_not_take_are_counted_and_control_hears_the_same_number(mayfly):
    daemon = mayfly({"api/flood.py": """
        def handler(event, context):
            print(("x" * 900 + "\\n") * 1000)
            return {"statusCode": 200, "body": "x"}
    """})
    daemon.get("/api/flood")
    when(daemon, lambda p: p.get("mayfly_log_lines_total", fn="api/flood") >= 1000)
    pid = programs(daemon)["control"]
    os.kill(pid, signal.SIGSTOP)
    for _ in range(8):
        assert daemon.get("/api/flood").status == 200
    page = when(daemon, lambda p: p.get("mayfly_log_lines_lost_total") > 0
                and p.get("mayfly_log_lines_total", fn="api/flood") >= 9000)
    os.kill(pid, signal.SIGCONT)

    def told():
        with Connection(str(daemon.state / "mayfly.sock")) as connection:
            losses = connection.request("GET", "/api/v1/system").json()["losses"]
        return sum(loss["n"] for loss in losses if loss["what"] == "log lines")

    wait_until(lambda: told() == scrape(daemon).get("mayfly_log_lines_lost_total") >= page.get(
        "mayfly_log_lines_lost_total"), "control has heard of as many")


def test_scrapes_under_load_are_whole_and_never_go_down(mayfly):
    daemon = mayfly(work_project(a={}, b={}))
    load = Load(daemon, "/a", "/b", clients=4)
    before = None
    for _ in range(15):
        page = scrape(daemon)
        if before:
            for family in before.families.values():
                if family.type == "counter":
                    for key, value in family.samples.items():
                        assert page.families[family.name].samples.get(key, -1) >= value, key
        before = page
    load.wait_more(20)
    assert load.stop() == []
    page = when(daemon, lambda p: p.sum("mayfly_invocations_total", outcome="ok") == load.n_ok)
    assert page.sum("mayfly_invocations_total") == load.n_ok


def many(n):
    return {f"api/f{i}.py": "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hello'}\n"
            for i in range(n)}


def test_five_thousand_functions_cost_a_scrape_nothing_until_they_are_used(mayfly):
    daemon = mayfly(many(5000))
    page = scrape(daemon)
    assert page.get("mayfly_functions") == 5000
    assert len(page.text) < 20000
    for i in range(0, 5000, 500):
        assert daemon.get(f"/api/f{i}").text == "hello"
    page = when(daemon, lambda p: p.sum("mayfly_invocations_total", outcome="ok") == 10)
    assert all(invocations(page, f"api/f{i}", "ok") == 1 for i in range(0, 5000, 500))


def test_http_1_0_gets_a_page_too(mayfly):
    daemon = mayfly(work_project(work={}))
    daemon.get("/work")
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        connection.send(b"GET /metrics HTTP/1.0\r\n\r\n")
        head, body = connection.rest().split(b"\r\n\r\n", 1)
    assert b" 200 " in head and b"chunked" not in head.lower()
    Page(body.decode())


def test_who_breaks_off_a_scrape_leaves_nothing_behind(mayfly):
    daemon = mayfly(work_project(work={}))
    for _ in range(50):
        with Connection(str(daemon.state / "mayfly.sock")) as connection:
            connection.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    page = when(daemon, lambda p: p.get("mayfly_connections") == 1)
    assert page.get("process_open_fds") < 100


def test_clients_scraping_at_once_get_whole_pages(mayfly):
    daemon = mayfly(work_project(work={}))
    daemon.get("/work")
    bad = []

    def run():
        try:
            for _ in range(10):
                scrape(daemon)
        except Exception as error:  # pylint: disable=broad-except
            bad.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bad == []


def test_prometheus_comes_by_the_admin_listener_with_a_token(mayfly):
    daemon = mayfly(work_project(work={}), "--admin-listen", "127.0.0.1:0")
    with Connection(str(daemon.state / "mayfly.sock")) as connection:
        token = connection.request("POST", "/api/v1/tokens", json.dumps({"name": "prometheus"}),
                                   {"Content-Type": "application/json"}).json()["token"]
    host = "127.0.0.1:%d" % daemon.admin[1]

    def ask(**headers):
        with Connection(daemon.admin) as connection:
            return connection.request("GET", "/metrics", headers={"Host": host, **headers})

    refused = ask()
    assert refused.status == 401 and b"mayfly_" not in refused.body
    answer = wait_until(lambda: (lambda a: a if a.status == 200 else None)(ask(Authorization=f"Bearer {token}")))
    assert Page(answer.body.decode()).get("mayfly_functions") == 1


def test_promtool_finds_nothing_to_complain_of(mayfly):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("no promtool here (Debian's package prometheus has it)")
    daemon = mayfly(ENDS)
    for how in ("ok", "raise", "crash"):
        daemon.get(f"/api/ends?how={how}")
    page = when(daemon, lambda p: p.sum("mayfly_invocations_total", fn="api/ends") == 3)
    done = subprocess.run([promtool, "check", "metrics"], input=page.text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_client_library_of_prometheus_reads_the_same_numbers(mayfly):
    parser = pytest.importorskip("prometheus_client.parser", reason="no python3-prometheus-client here")
    daemon = mayfly(ENDS)
    daemon.get("/api/ends")
    page = when(daemon, lambda p: invocations(p, "api/ends", "ok") == 1)
    theirs = {(s.name, tuple(sorted(s.labels.items()))): s.value
              for family in parser.text_string_to_metric_families(page.text) for s in family.samples}
    ours = {key: value for family in page.families.values() for key, value in family.samples.items()}
    assert theirs == ours


def test_what_is_shipped_for_prometheus_and_grafana_names_metrics_that_there_are():
    for path in sorted((ROOT / "share/prometheus").iterdir()):
        names = set(re.findall(r"\bmayfly_[a-z_]+", path.read_text()))
        known = set(documented())
        assert names <= known | {f"{name}_bucket" for name in known}, path
    json.loads((ROOT / "share/prometheus/grafana.json").read_text())
    promtool = shutil.which("promtool")
    if promtool:
        subprocess.run([promtool, "check", "rules", ROOT / "share/prometheus/mayfly-alerts.yml"], check=True)
