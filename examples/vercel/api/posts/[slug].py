import json
from urllib.parse import parse_qs


def app(environ, start_response):
    slug = parse_qs(environ["QUERY_STRING"])["slug"][0]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"slug": slug, "asked": environ["PATH_INFO"]}).encode()]
