"""A server has the rights of any function, and not one more for being watched."""
import json
import os
import re
import subprocess

import pytest
from lib.daemon import ROOT
from lib.process import wait_until
from servers import project

BATTERY = ROOT / "test/battery"
PROFILES = [pytest.param({}, id="default")]
if os.geteuid() == 0:
    PROFILES.append(pytest.param({"MAYFLY_SANDBOX": "user"}, id="user"))

# All acts of the battery by a program: `acts` answers as a CGI program, `acts PORT` is a server.
ACTS = r"""
#include "battery.h"
#include "all.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static char report[256 * 1024];

static void run_acts(void)
{
    size_t n = 0;

    battery.inside = true;
    battery.secret = getenv("SECRET_FILE");
    battery.mayfly_socket = getenv("DAEMON_SOCKET");
    for (size_t i = 0; i < N_ACTS; i++) {
        const struct act *act = act_number(i);
        const char *got;
        bool forbidden = carry_out(act, &got);

        n += (size_t)snprintf(report + n, sizeof(report) - n, "%s\n" ACT_FORMAT, i ? "," : "[", act->name,
                              act->ordinary ? "allowed" : "denied", got, forbidden ? "true" : "false");
    }
    (void)snprintf(report + n, sizeof(report) - n, "\n]\n");
}

int main(int argc, char **argv)
{
    int one = 1, fd, listener;
    struct sockaddr_in at = {.sin_family = AF_INET};

    if (argc < 2) {
        run_acts();
        printf("Content-Type: application/json\n\n%s", report);
        return fflush(stdout);
    }
    run_acts(); /* it is watched already, and has no descriptors of its own yet */
    listener = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_port = htons((unsigned short)atoi(argv[1]));
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (void *)&at, sizeof(at)) < 0 || listen(listener, 8) < 0)
        return 1;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        char request[4096] = "";

        (void)!read(fd, request, sizeof(request) - 1);
        (void)dprintf(fd, "HTTP/1.0 200 OK\r\n\r\n%s", report);
        (void)close(fd);
    }
    return 1;
}
"""


def build(folder):
    (folder / "acts.c").write_text(ACTS)
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-I", BATTERY, "-o", folder / "acts", folder / "acts.c"],
                   check=True)


@pytest.mark.core
@pytest.mark.parametrize("profile", PROFILES)
def test_no_forbidden_act_succeeds_in_a_server(mayfly, profile):
    files = project("", ("./acts", "8080"), timeout=120, init_timeout=60, env={
        "SECRET_FILE": str(BATTERY / "all.h"), "DAEMON_SOCKET": "/nowhere/mayfly.sock"})
    functions = files["mayfly.json"]["functions"]
    functions["program"] = {"handler": "acts", "runtime": "exec", "routes": ["/program"], "timeout": 120,
                            "env": functions["app"]["env"]}
    daemon = mayfly(files, env=profile, prepare=build)
    said = wait_until(lambda: re.search(r"sandbox=(\S+)", daemon.log), "the log names the sandbox")
    if said[1] == "degraded":
        pytest.skip("no namespaces for this user: there is no sandbox to be tested")
    done = {}
    for path in ("/acts", "/program"):
        answer = daemon.get(path, timeout=110)
        assert answer.status == 200, answer.text
        acts = json.loads(answer.text)
        denied = [act for act in acts if act["wanted"] == "denied"]
        assert len(denied) >= 80
        assert [a["name"] for a in acts if a["wanted"] == "allowed" and a["forbidden"]] == []
        done[path] = {(act["name"], act["got"]) for act in denied if not act["forbidden"]}
    # A program is not PID 1 of its sandbox: what it may do to mayfly's own process there, it may
    # with the runtime exec as well. Nothing else.
    assert done["/acts"] - done["/program"] == set()
    names = {name for name, _ in done["/acts"]}
    assert not names & {"seccomp-listener", "pidfd-getfd", "clone-network", "clone-user", "unshare-network"}
