"""`mayfly usage` against a daemon: the bill says what ran, exactly."""
import json
import time

import pytest

from lib.observed import PROJECT, wait_records


def usage(daemon, *arguments):
    return json.loads(daemon.cli("usage", *arguments, "--json").stdout)


@pytest.mark.core
def test_the_bill_is_the_sum_of_the_records(mayfly):
    daemon = mayfly(PROJECT)
    for target in 4 * ["/hello"] + 2 * ["/busy?s=0.05"] + ["/fail"]:
        daemon.get(target)
    records = wait_records(daemon, 7)
    told = usage(daemon)
    rows = {row["function"]: row for row in told["rows"]}
    assert set(rows) == {"hello", "busy", "fail"}
    for name, row in rows.items():
        mine = [r for r in records if r["function"] == name]
        assert row["invocations"] == len(mine)
        assert row["errors"] == sum(r["outcome"] != "ok" for r in mine)
        for key in ("user_us", "system_us", "bytes_in", "bytes_out"):
            assert row[key] == sum(r[key] for r in mine), key
        assert abs(row["run_us"] - sum(r["run_ns"] for r in mine) / 1000) <= len(mine)
    assert rows["busy"]["user_us"] + rows["busy"]["system_us"] >= 2 * 50_000
    # "memory" times run time, in GB of 1024 MB or of 1000: either is one number for all functions.
    assert rows["busy"]["gb_us"] == pytest.approx(rows["busy"]["run_us"] * 0.25, rel=0.08)
    for key in ("invocations", "errors", "run_us", "user_us", "system_us", "gb_us", "bytes_out"):
        assert told["total"][key] == sum(row[key] for row in told["rows"])


def test_rows_by_version_and_day(mayfly):
    daemon = mayfly(PROJECT)
    daemon.get("/hello")
    daemon.get("/busy")
    records = wait_records(daemon, 2)
    rows = usage(daemon, "--by", "version")["rows"]
    assert {(r["function"], r["version"]) for r in rows} == {(r["function"], r["version"]) for r in records}
    day, = usage(daemon, "--by", "day")["rows"]
    assert day["invocations"] == 2
    assert day["day"] in {time.strftime("%Y-%m-%d", time.gmtime(t)) for t in (time.time(), time.time() - 3600)}
    assert usage(daemon, "--until", "2020-01-01")["rows"] == []


def test_the_table_and_what_it_costs(mayfly, tmp_path):
    daemon = mayfly(PROJECT)
    for target in ("/hello", "/hello", "/busy"):
        daemon.get(target)
    wait_records(daemon, 3)
    (tmp_path / "price.json").write_text('{"currency": "EUR", "per_request": 0.01, "per_cpu_second": 1}')
    told = usage(daemon, "--price", tmp_path / "price.json")
    total = told["total"]
    assert total["cost"]["requests_nano"] == 3 * 10_000_000
    assert abs(total["cost"]["cpu_nano"] - 1000 * (total["user_us"] + total["system_us"])) <= 3
    head, *rows = daemon.cli("usage", "--price", tmp_path / "price.json").stdout.splitlines()
    assert head.split()[-1] == "EUR"
    assert {row.split()[0] for row in rows} == {"hello", "busy", "total"}
    assert rows[-1].split()[-1] == "%.9f" % (total["cost"]["total_nano"] / 1e9)
