#!/usr/bin/env python3
"""Makes the pictures of the dashboard in docs/images: a real server, some minutes of invented customers, a real browser.

usage: screenshots.py [SECONDS]      (180; ./dev screenshots builds first)
"""
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "system"))

from lib.browser import chromium, modules  # noqa: E402
from lib.daemon import Daemon  # noqa: E402
from lib.npm import node  # noqa: E402

IMAGES = ROOT / "docs" / "images"
BYTES_MAX = 300_000
PROJECT = {
    "mayfly.json": {"functions": {
        "orders": {"handler": "orders.handler", "routes": ["/orders"], "memory": 64, "timeout": 3, "concurrency": 20,
                   "recording": 4096},
        "thumbnail": {"handler": "thumbnail.handler", "routes": ["/thumbnail"], "memory": 128},
        "report": {"handler": "report.handler", "routes": ["/report"], "timeout": 5},
        "search": {"handler": "search.handler", "routes": ["/search"]},
    }},
    "api/hello.py": """
        def handler(event, context):
            print("hello")
            return {"statusCode": 200, "body": "hello"}
    """,
    "search.py": """
        import random, time

        def handler(event, context):
            time.sleep(random.expovariate(1 / 0.08))
            return {"statusCode": 200, "body": "found"}
    """,
    "orders.py": """
        import json, random, time

        def handler(event, context):
            asked = event.get("queryStringParameters") or {}
            print(json.dumps({"level": "info", "msg": "order", "customer": random.randint(1, 900), **asked}))
            time.sleep(random.expovariate(1 / 0.03))
            if "tea" not in asked:
                raise KeyError("tea")
            return {"statusCode": 200, "body": json.dumps({"ordered": asked["tea"]})}
    """,
    "thumbnail.py": """
        import hashlib, random, time

        def handler(event, context):
            data, end = b"x" * 50000, time.monotonic() + random.expovariate(1 / 0.01)
            while time.monotonic() < end:
                data = hashlib.sha256(data).digest() * 1500
            time.sleep(random.expovariate(1 / 0.3))
            return {"statusCode": 200, "body": "small"}
    """,
    "report.py": """
        import random, sys, time

        def handler(event, context):
            for page in range(random.randint(2, 5)):
                print("page", page + 1)
                time.sleep(random.uniform(0.3, 1.2))
            if random.random() < 0.15:
                print("out of paper", file=sys.stderr)
                time.sleep(60)
            return {"statusCode": 200, "body": "done"}
    """,
}
RATES = {"/api/hello": 14, "/orders?tea=green": 8, "/orders": 0.4, "/thumbnail": 4, "/report": 0.5, "/search?q=tea": 7}


def ask(url):
    try:
        urllib.request.urlopen(url, timeout=20).read()
    except (OSError, urllib.error.URLError):
        pass


def customers(url, rate, end):
    while time.monotonic() < end:
        time.sleep(random.expovariate(rate * (0.8 + 0.4 * (int(time.monotonic()) // 20 % 2))))
        threading.Thread(target=ask, args=(url,), daemon=True).start()


def main(seconds):
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        daemon = Daemon(PROJECT, "--admin-listen", "127.0.0.1:0", allow_degraded=True, env={"HOME": home})
        try:
            end = time.monotonic() + seconds + 60
            for path, rate in RATES.items():
                threading.Thread(target=customers, args=(daemon.url + path, rate, end), daemon=True).start()
            login = daemon.cli("dashboard", "--print").stdout.strip()
            subprocess.run([node(), ROOT / "web" / "screenshots.mjs", modules(), chromium(), login, IMAGES, str(seconds)],
                           check=True, timeout=seconds + 240)
        finally:
            daemon.stop()
            daemon.remove()
    for image in sorted(IMAGES.glob("dashboard-*.png")):
        print(image.relative_to(ROOT), image.stat().st_size, "bytes")
        assert image.stat().st_size < BYTES_MAX, f"{image} is too large for the README"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 180)
