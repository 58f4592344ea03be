"""Flask as it is often used for isolation: every request in a multiprocessing.Process of its own."""

import logging
import sys
from multiprocessing import Pipe, Process
from pathlib import Path

from flask import Flask, Response, request
from werkzeug import serving

sys.path.insert(0, str(Path(__file__).parent.parent / "functions"))

from hello import HELLO
from sums import sleep_and_sum

app = Flask(__name__)


def send_result(sender, work, args):
    sender.send(work(*args))


def in_process(work, *args):
    receiver, sender = Pipe(duplex=False)
    process = Process(target=send_result, args=(sender, work, args))
    process.start()
    result = receiver.recv()
    process.join()
    receiver.close()
    sender.close()
    return result


def hello():
    return HELLO


@app.route("/")
def answer():
    return Response(in_process(hello), mimetype="application/json")


@app.route("/sleep_and_sum")
def sum_route():
    return str(in_process(sleep_and_sum, int(request.args["a"]), int(request.args["b"])))


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Kinder to it than its defaults: connections are kept alive, and a burst finds a long queue.
    serving.WSGIRequestHandler.protocol_version = "HTTP/1.1"
    serving.LISTEN_QUEUE = 4096
    app.run(port=int(sys.argv[1]), threaded=True)
