"""Takes an order from the body of a request."""
import base64
import json

ITEM_LENGTH_MAX = 200


def order_of(event):
    """The body as a dict. Raises ValueError if it is none."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)
    order = json.loads(body)
    if not isinstance(order, dict):
        raise ValueError("not an object")
    return order


def process_order(event, context):
    try:
        item = order_of(event).get("item")
    except ValueError:
        return {"statusCode": 400, "body": 'Please send JSON, as in {"item": "tea"}.\n'}
    if not isinstance(item, str) or not 0 < len(item) <= ITEM_LENGTH_MAX:
        return {"statusCode": 400,
                "body": f"Please name an item, in at most {ITEM_LENGTH_MAX} characters.\n"}
    print(f"order for {item!r}, request {context.aws_request_id}")
    return {"statusCode": 200, "body": f"Order for {item} processed!"}
