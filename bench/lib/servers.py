"""What is measured: the servers, and the rows of the tables, as data.

In argv and files, {port}, {other_port}, {tmp} (a folder of the server's own), {functions}, {peers}, {programs}
(compiled by the bench) and {mayfly} (the daemon) are filled in. One server can carry several rows.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field

PYTHON = "/usr/bin/python3"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"  # of every server; Debian's programs first

CLOSED = ("closed-1", "closed-16", "closed-64")
OPEN = ("open-200", "open-1000", "open-4000")
ALL = CLOSED + OPEN
SOME = ("closed-16", "open-200")
ONE = ("closed-1",)

HELLO = b'{"hello":"mayfly"}\n'
ECHO = '{"echo":[1,2,3]}'
EVENT = "{}"

# AWS' emulator of Lambda around a custom runtime. It has no package; Go builds it.
RIE = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie"
RIE_VERSION = "v0.0.0-20261030222936-bef5c4ba774d"


def absent(programs):
    """Why a server cannot have these programs, or None."""
    return next((f"{program} is not installed" for program in programs
                 if not shutil.which(program, path=PATH)), None)


@dataclass(frozen=True)
class Server:
    name: str
    argv: tuple
    programs: tuple = ()  # what must be on the PATH, or it is skipped
    modules: tuple = ()   # what Debian's Python must be able to import
    files: dict = field(default_factory=dict)  # written into {tmp} before the start
    is_mayfly: bool = False
    env: dict = field(default_factory=dict)
    plain: bool = False   # runs as a user without privileges, which takes a bench run by root
    stops: str = ""       # the name of a process of it that is stopped as soon as it has answered
    go: tuple = ()        # (package, version) of Go that is built into {programs} before the start

    def missing(self, places):
        """Why it cannot be started here, or None."""
        if self.plain and os.geteuid() != 0:
            return "only root can run it as another user"
        if reason := absent(program.format(**places) for program in self.programs):
            return reason
        for module in self.modules:
            if subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True).returncode:
                return f"{PYTHON} has no module {module}"
        return None


@dataclass(frozen=True)
class Row:
    name: str    # stable, for --only, the JSON and the budgets
    label: str   # for people
    server: str
    path: str
    loads: tuple = ALL
    body: str = None          # makes it a POST
    fresh: bool = True        # a process of its own for every request
    reaps: bool = True        # the server waits for its children: /proc sees their page faults
    programs: tuple = ()      # what it needs besides its server's
    says: bytes = None        # the answer, if it is neither the body nor HELLO

    @property
    def is_mayfly(self):
        return SERVERS[self.server].is_mayfly

    @property
    def answer(self):
        if self.says is not None:
            return self.says
        return self.body.encode() if self.body else HELLO


MAYFLY = ("{mayfly}", "serve", "{functions}", "--listen", "127.0.0.1:{port}", "--admin-listen", "off", "--state",
          "{tmp}")

PLAIN_USER = 65534
AS_PLAIN_USER = ("setpriv", f"--reuid={PLAIN_USER}", f"--regid={PLAIN_USER}", "--clear-groups")

NGINX_CONF = """\
daemon off;
pid {tmp}/nginx.pid;
error_log stderr error;
worker_processes 2;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {tmp}/body;
    fastcgi_temp_path {tmp}/fastcgi;
    proxy_temp_path {tmp}/proxy;
    scgi_temp_path {tmp}/scgi;
    uwsgi_temp_path {tmp}/uwsgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /cgi-c {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {functions}/hello.cgi;
            fastcgi_pass unix:{tmp}/fcgiwrap.sock;
        }}
        location = /cgi-python {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {peers}/hello_cgi.py;
            fastcgi_pass unix:{tmp}/fcgiwrap.sock;
        }}
        location = /cgi-node {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {peers}/hello_cgi.js;
            fastcgi_pass unix:{tmp}/fcgiwrap.sock;
        }}
    }}
}}
"""

SERVERS = {server.name: server for server in (
    Server("mayfly", MAYFLY, programs=("{mayfly}",), is_mayfly=True),
    # What the sandbox costs: without it, and with the one that a plain user's daemon has.
    Server("mayfly-off", (*MAYFLY, "--allow-degraded"), programs=("{mayfly}",), is_mayfly=True,
           env={"MAYFLY_SANDBOX": "degraded", "MAYFLY_CGROUPS": "none"}),
    # What keeping records costs: with control standing still, which nobody waits for.
    Server("mayfly-alone", MAYFLY, programs=("{mayfly}",), is_mayfly=True, stops="mayfly-control"),
    Server("mayfly-user", (*AS_PLAIN_USER, *MAYFLY), programs=("{mayfly}", "setpriv"),
           is_mayfly=True, plain=True),
    Server("gunicorn",
           ("gunicorn", "--workers", "4", "--bind", "127.0.0.1:{port}", "hello_flask:app"),
           programs=("gunicorn",), modules=("flask",)),
    Server("gunicorn-threads",
           ("gunicorn", "--workers", "4", "--worker-class", "gthread", "--threads", "16",
            "--bind", "127.0.0.1:{port}", "hello_flask:app"),
           programs=("gunicorn",), modules=("flask",)),
    Server("uwsgi",
           ("uwsgi", "--plugin", "python3", "--master", "--need-app", "--processes", "4",
            "--listen", "1024", "--http-socket", "127.0.0.1:{port}", "--wsgi-file", "hello.py",
            "--callable", "app", "--disable-logging", "--die-on-term",
            # It closes after each answer; said aloud, clients take it for what it is.
            "--add-header", "Connection: close"),
           programs=("uwsgi",)),
    Server("flask-process", (PYTHON, "{peers}/flask_process.py", "{port}"), modules=("flask",)),
    Server("cgi",
           ("sh", "-c", "fcgiwrap -c 8 -s unix:{tmp}/fcgiwrap.sock &"
                        " exec nginx -p {tmp} -c {tmp}/nginx.conf"),
           programs=("nginx", "fcgiwrap"), files={"nginx.conf": NGINX_CONF}),
    Server("node-server", ("env", "PORT={port}", "node", "{functions}/hello_server.js"),
           programs=("node",)),
    Server("rie",
           ("{programs}/aws-lambda-rie", "--log-level", "error",
            "--runtime-interface-emulator-address", "127.0.0.1:{port}",
            "--runtime-api-address", "127.0.0.1:{other_port}", "{functions}/hello.bootstrap"),
           go=(RIE, RIE_VERSION)),
)}

ROWS = (
    Row("native", "mayfly native C", "mayfly", "/native"),
    Row("native-0", "mayfly native C, no standby", "mayfly", "/native-0"),
    Row("native-instance", "mayfly native C, instance", "mayfly", "/native-instance", fresh=False),
    Row("python", "mayfly python", "mayfly", "/python"),
    Row("python-0", "mayfly python, no standby", "mayfly", "/python-0"),
    Row("python-instance", "mayfly python, instance", "mayfly", "/python-instance", fresh=False),
    Row("python-flask", "mayfly python, the Flask app", "mayfly", "/python-flask"),
    Row("python-flask-instance", "mayfly python, the Flask app, instance", "mayfly",
        "/python-flask-instance", SOME, fresh=False),
    Row("python-lambda", "mayfly python, Lambda handler", "mayfly", "/python-lambda", SOME),
    Row("python-echo", "mayfly python, JSON echo", "mayfly", "/python", SOME, ECHO),
    Row("python-asgi", "mayfly python, bare ASGI", "mayfly", "/python-asgi", SOME),
    Row("node", "mayfly node, Lambda handler", "mayfly", "/node", programs=("node",)),
    Row("node-reqres", "mayfly node, (req, res)", "mayfly", "/node-reqres", SOME,
        programs=("node",)),
    Row("node-instance", "mayfly node, Lambda handler, instance", "mayfly", "/node-instance",
        fresh=False, programs=("node",)),
    Row("web-node", "mayfly web, node http.Server", "mayfly", "/web-node", fresh=False,
        programs=("node",)),
    Row("provided", "mayfly provided, C bootstrap", "mayfly", "/provided", ONE, EVENT,
        says=HELLO),
    Row("provided-instance", "mayfly provided, C bootstrap, instance", "mayfly",
        "/provided-instance", ONE, EVENT, fresh=False, says=HELLO),
    Row("exec", "mayfly exec, C program", "mayfly", "/exec"),
    Row("native-tmp0", "mayfly native C, no /tmp", "mayfly", "/native-tmp0", SOME),
    Row("python-tmp0", "mayfly python, no /tmp", "mayfly", "/python-tmp0", SOME),
    Row("user-native", "mayfly native C, daemon of a plain user", "mayfly-user", "/native", SOME),
    Row("user-python", "mayfly python, daemon of a plain user", "mayfly-user", "/python", SOME),
    Row("off-native", "mayfly native C, sandbox off", "mayfly-off", "/native", SOME),
    Row("off-python", "mayfly python, sandbox off", "mayfly-off", "/python", SOME),
    Row("alone-native", "mayfly native C, control stopped", "mayfly-alone", "/native", SOME),
    Row("alone-python", "mayfly python, control stopped", "mayfly-alone", "/python", SOME),
    Row("gunicorn", "gunicorn + Flask, 4 workers", "gunicorn", "/", fresh=False),
    Row("gunicorn-threads", "gunicorn + Flask, 4 x 16 threads", "gunicorn-threads", "/",
        fresh=False),
    Row("gunicorn-echo", "gunicorn + Flask, JSON echo", "gunicorn", "/", SOME, ECHO, fresh=False),
    Row("uwsgi", "uwsgi, 4 workers, bare WSGI", "uwsgi", "/", fresh=False),
    Row("uwsgi-echo", "uwsgi, JSON echo", "uwsgi", "/", SOME, ECHO, fresh=False),
    Row("flask-process", "Flask, a Process per request", "flask-process", "/"),
    Row("cgi-c", "nginx + fcgiwrap, C program", "cgi", "/cgi-c", reaps=False),
    Row("cgi-python", "nginx + fcgiwrap, Python script", "cgi", "/cgi-python", reaps=False),
    Row("cgi-node", "nginx + fcgiwrap, Node script", "cgi", "/cgi-node", reaps=False,
        programs=("node",)),
    Row("node-server", "node http.Server, one process", "node-server", "/", fresh=False),
    Row("rie", "AWS' Runtime Interface Emulator, C bootstrap", "rie",
        "/2015-03-31/functions/function/invocations", ONE, EVENT, fresh=False, says=HELLO),
)


@dataclass(frozen=True)
class Cold:
    """A function that has no process when its request comes."""
    name: str
    label: str
    path: str
    programs: tuple = ()


COLDS = (
    Cold("native", "mayfly native C", "/cold-native"),
    Cold("python", "mayfly python", "/cold-python"),
    Cold("node", "mayfly node", "/cold-node", ("node",)),
    Cold("exec", "mayfly exec, C program", "/cold-exec"),
)


@dataclass(frozen=True)
class Sleeper:
    """Something that sleeps three seconds for each of a thousand requests at once."""
    name: str
    label: str
    server: str
    path: str


SLEEPERS = (
    Sleeper("python", "mayfly python", "mayfly", "/sleep_and_sum?a=1&b=2"),
    Sleeper("native", "mayfly native C", "mayfly", "/sleep_and_sum_native?a=1&b=2"),
    Sleeper("flask-process", "Flask, a Process per request", "flask-process",
            "/sleep_and_sum?a=1&b=2"),
)
SLEEPER_ANSWER = b"3"
