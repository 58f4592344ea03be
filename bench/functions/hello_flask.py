"""The same answers as hello.py from a Flask application."""

import json

from flask import Flask, Response, request

from hello import HELLO

app = Flask(__name__)


@app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
@app.route("/<path:path>", methods=["GET", "POST"])
def hello(path):
    body = HELLO
    if request.method == "POST":
        body = json.dumps(request.get_json(), separators=(",", ":"))
    return Response(body, mimetype="application/json")
