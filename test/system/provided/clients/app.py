"""What each client's function does, by the last part of the event's path."""
import os

COUNT = 0


def answer(body, **more):
    return {"statusCode": 200, "body": body, **more}


def handler(event, context):
    global COUNT
    COUNT += 1
    what = event["rawPath"].rsplit("/", 1)[-1]
    if what == "echo":
        return answer(event["body"], isBase64Encoded=event["isBase64Encoded"], cookies=["c=1", "d=2"],
                      headers={"X-Function": context.function_name})
    if what == "error":
        raise ValueError("broken")
    if what == "panic":
        os._exit(3)
    return answer(str(COUNT))
