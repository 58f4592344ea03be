"""A Flask application: templates, a session in a signed cookie, a form with a file, an answer in pieces."""
import csv
import io
import os

from flask import Flask, Response, abort, jsonify, render_template, request, session

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "only for trying out")


@app.get("/")
def index():
    session["visits"] = session.get("visits", 0) + 1
    return render_template("index.html", visits=session["visits"])


@app.post("/sum")
def total():
    file = request.files.get("file") or abort(400, "send a CSV file as the form's field \"file\"")
    rows = csv.reader(io.TextIOWrapper(file.stream, "utf-8"))
    return jsonify(sum=sum(float(cell) for row in rows for cell in row))


@app.get("/numbers/<int:n>")
def numbers(n):
    return Response((f"{i}\n" for i in range(n)), mimetype="text/csv")


@app.get("/broken")
def broken():
    raise ValueError("on purpose")


if __name__ == "__main__":
    app.run()
