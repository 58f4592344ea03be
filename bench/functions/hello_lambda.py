"""The same answer from an AWS Lambda handler."""


def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"},
            "body": '{"hello":"mayfly"}\n'}
