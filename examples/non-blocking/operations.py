"""Two slow operations: one after the other, at once in one process, and as functions of their own."""
import asyncio
import json
import os
import time
import urllib.request

OPERATION_SECONDS = float(os.environ.get("OPERATION_SECONDS", "3"))


def numbers(event):
    parameters = event.get("queryStringParameters") or {}
    return int(parameters.get("a", 4)), int(parameters.get("b", 5))


def answer(start, addition, product):
    output = {"addition": addition, "elapsed_time": round(time.monotonic() - start, 3),
              "multiply": product}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"},
            "body": json.dumps({"output": output})}


def checked(handler):
    """Numbers that are none are the client's mistake, not the function's."""
    def check(event, context):
        try:
            a, b = numbers(event)
        except ValueError:
            return {"statusCode": 400, "body": "a and b must be integers.\n"}
        return handler(a, b)
    return check


# ---- /sync: one after the other ----

@checked
def sync(a, b):
    start = time.monotonic()
    time.sleep(OPERATION_SECONDS)
    addition = a + b
    time.sleep(OPERATION_SECONDS)
    return answer(start, addition, a * b)


# ---- /async: both at once in one process ----

async def add(a, b):
    await asyncio.sleep(OPERATION_SECONDS)
    return a + b


async def multiply(a, b):
    await asyncio.sleep(OPERATION_SECONDS)
    return a * b


async def not_blocking(event, context):
    try:
        a, b = numbers(event)
    except ValueError:
        return {"statusCode": 400, "body": "a and b must be integers.\n"}
    start = time.monotonic()
    return answer(start, *await asyncio.gather(add(a, b), multiply(a, b)))


# ---- /async_functions: each operation is a function of its own, in a process of its own ----

@checked
def add_function(a, b):
    time.sleep(OPERATION_SECONDS)
    return {"statusCode": 200, "body": str(a + b)}


@checked
def multiply_function(a, b):
    time.sleep(OPERATION_SECONDS)
    return {"statusCode": 200, "body": str(a * b)}


def call(path, a, b):
    with urllib.request.urlopen(f"{os.environ['MAYFLY_URL']}{path}?a={a}&b={b}", timeout=60) as response:
        return int(response.read())


async def functions(event, context):
    try:
        a, b = numbers(event)
    except ValueError:
        return {"statusCode": 400, "body": "a and b must be integers.\n"}
    start = time.monotonic()
    loop = asyncio.get_running_loop()
    return answer(start, *await asyncio.gather(
        loop.run_in_executor(None, call, "/add", a, b),
        loop.run_in_executor(None, call, "/multiply", a, b)))
