"""A Node function is forked, warm: what differs between workers, what works in them, how they end."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from lib import npm
from lib.process import wait_until

pytestmark = pytest.mark.core

MODES = {"fork": {}, "single": {"MAYFLY_NODE_FORK": "0"}}


@pytest.fixture(autouse=True)
def node():
    return npm.node()


@pytest.fixture(params=list(MODES))
def mode(request):
    return MODES[request.param]


def lines(response):
    assert response.status == 200, response
    return response.text.splitlines()


# ---- one process for each request ----


def test_state_does_not_leak(mayfly, mode):
    daemon = mayfly({"api/one.js": """
        const state = [];
        exports.handler = async () => {
          state.push(1);
          process.env.SEEN = String(Number(process.env.SEEN ?? 0) + 1);
          globalThis.left = (globalThis.left ?? 0) + 1;
          return { statusCode: 200, body: [state.length, process.env.SEEN, globalThis.left].join() };
        };
    """}, env=mode)
    assert [daemon.get("/api/one").text for _ in range(4)] == ["1,1,1"] * 4
    assert len({daemon.record(daemon.get("/api/one"))["pid"] for _ in range(3)}) == 3


def test_an_instance_keeps_its_state(mayfly, mode):
    daemon = mayfly({"one.js": """
        let n = 0;
        exports.handler = async () => {
          if (++n === 3) throw new Error('third');
          return { statusCode: 200, body: String(n) };
        };
    """, "mayfly.json": {"functions": {"one": {
        "handler": "one.handler", "isolation": "instance", "routes": ["/"]}}}}, env=mode)
    answers = [daemon.get("/") for _ in range(5)]
    assert [a.status for a in answers] == [200, 200, 500, 200, 200]
    assert [a.text for a in answers if a.status == 200] == ["1", "2", "4", "5"]


def test_no_two_workers_draw_the_same_numbers(mayfly):
    """Whatever was drawn while the module was loaded, and by whatever reference."""
    daemon = mayfly({"api/one.mjs": """
        import crypto, { randomUUID, randomInt } from 'node:crypto';
        const { random } = Math;
        const web = globalThis.crypto ?? crypto.webcrypto;
        const draws = [random, () => Math.random(), randomUUID, () => crypto.randomUUID(), () => web.randomUUID(),
          () => randomInt(2 ** 47), () => crypto.randomBytes(8).toString('hex'),
          () => web.getRandomValues(new Uint32Array(2)).join(), () => crypto.generateKeyPairSync('ed25519')
            .publicKey.export({ format: 'jwk' }).x];
        const early = draws.map((draw) => String(draw()));
        export const handler = async () => ({ statusCode: 200,
          body: [...draws.map((draw) => String(draw())), ...early].join('\\n') });
    """})
    answers = [lines(daemon.get("/api/one")) for _ in range(8)]
    n = len(answers[0]) // 2
    for i in range(n):
        drawn = [a[i] for a in answers]
        assert len(set(drawn)) == len(drawn), (i, drawn)
    assert {a[n] for a in answers} == {answers[0][n]}  # drawn once, in the zygote


PACKAGES = {"uuid8": "npm:uuid@8.3.2", "uuid9": "npm:uuid@9.0.1", "uuid11": "npm:uuid@11.1.0",
            "nanoid3": "npm:nanoid@3.3.11", "nanoid5": "npm:nanoid@5.1.5"}


@pytest.mark.parametrize("major", [None, 18, 22, 24])
def test_packages_that_draw_ahead_while_loaded_give_each_worker_its_own(mayfly, major):
    """Their pools are filled, and partly used, before the fork."""
    folder = npm.packages(**PACKAGES)
    daemon = mayfly({"api/one.mjs": """
        import * as uuid8 from 'uuid8';
        import * as uuid9 from 'uuid9';
        import * as uuid11 from 'uuid11';
        import * as nanoid3 from 'nanoid3';
        import * as nanoid5 from 'nanoid5';
        const short = nanoid5.customAlphabet('0123456789abcdef', 12);
        const draws = [() => uuid8.v4(), () => uuid9.v4(), () => uuid9.v4({}), () => uuid11.v4(), () => uuid11.v4({}),
          () => uuid11.v7().slice(14), () => nanoid3.nanoid(), () => nanoid5.nanoid(), () => nanoid5.nanoid(1) +
          nanoid5.nanoid(9), () => nanoid3.customAlphabet('abcdef', 20)(), short];
        const early = draws.map((draw) => draw());
        export const handler = async () => ({ statusCode: 200, body: JSON.stringify([draws.map((draw) => draw()), early]) });
    """, "mayfly.json": {"node": str(npm.node_of(major))} if major else {}},
                    prepare=lambda path: shutil.copytree(folder, path / "node_modules"))
    answers = [daemon.get("/api/one").json() for _ in range(8)]
    for i, early in enumerate(answers[0][1]):
        drawn = [now[i] for now, _ in answers] + [early]
        assert len(set(drawn)) == len(drawn), (i, drawn)
    assert all(early == answers[0][1] for _, early in answers)  # drawn once, in the zygote


def test_only_what_may_be_a_pool_is_drawn_again(mayfly):
    daemon = mayfly({"api/one.js": """
        const crypto = require('crypto');
        const { webcrypto } = crypto;
        const text = (bytes) => Buffer.from(bytes).toString('hex');
        const same = {
          key: crypto.randomFillSync(Buffer.alloc(64)),
          webKey: webcrypto.getRandomValues(new Uint8Array(32)),
          given: crypto.randomBytes(512),
          data: crypto.randomFillSync(Buffer.alloc(100000)),
          changed: crypto.randomFillSync(Buffer.alloc(256)),
        };
        same.changed[7] ^= 1;
        const memory = new WebAssembly.Memory({ initial: 1 });
        same.wasm = webcrypto.getRandomValues(new Uint8Array(memory.buffer, 1024, 256));
        same.wasm.fill(7, 0, 100);
        const part = Buffer.alloc(1000, 'x');
        crypto.randomFillSync(part, 100, 400);
        same.before = part.subarray(0, 100);
        same.behind = part.subarray(500);
        const words = new Uint32Array(300);
        crypto.randomFillSync(words, 100, 50);
        same.wordsBefore = new Uint8Array(words.buffer, 0, 400);
        same.wordsBehind = new Uint8Array(words.buffer, 600);
        const detached = crypto.randomFillSync(new Uint8Array(512));
        structuredClone(detached, { transfer: [detached.buffer] });
        const later = Buffer.alloc(256);
        const other = { pool: part.subarray(100, 500), words: new Uint8Array(words.buffer, 400, 200),
          raw: new Uint8Array(crypto.randomFillSync(new ArrayBuffer(256))), later,
          web: new Uint8Array(webcrypto.getRandomValues(new Uint16Array(64)).buffer) };
        crypto.randomFill(later, () => {});
        const wrong = [() => crypto.randomFillSync(1), () => crypto.randomFillSync(Buffer.alloc(4), 5),
          () => crypto.randomFill(Buffer.alloc(4)), () => webcrypto.getRandomValues(1),
          () => webcrypto.getRandomValues.call({}, new Uint8Array(1)), () => webcrypto.getRandomValues(new Uint8Array(70000))];
        const tell = () => wrong.map((f) => { try { return String(f()); } catch (e) { return `${e.name} ${e.code}`; } });
        const early = tell();
        const show = (all) => Object.fromEntries(Object.entries(all).map(([name, bytes]) => [name, text(bytes)]));
        exports.handler = () => new Promise((done) => crypto.randomFill(Buffer.alloc(300), (error, bytes) => done({
          statusCode: 200, body: JSON.stringify([show(same), show(other), early, tell(), error, bytes.length]) })));
    """})
    answers = [daemon.get("/api/one").json() for _ in range(4)]
    for same, _, early, late, error, length in answers:
        assert same == answers[0][0]
        assert (early, error, length) == (late, None, 300) and "undefined" not in early[0]
    for name in answers[0][1]:
        assert len({other[name] for _, other, *_ in answers}) == 4, name


def test_math_random_is_as_good_and_looks_the_same(mayfly):
    daemon = mayfly({"api/one.js": """
        exports.handler = async () => {
          const n = 200000, buckets = new Array(20).fill(0);
          let sum = 0, least = 1, most = 0;
          for (let i = 0; i < n; i++) {
            const x = Math.random();
            sum += x; least = Math.min(least, x); most = Math.max(most, x); buckets[Math.floor(x * 20)]++;
          }
          return { statusCode: 200, body: JSON.stringify({ mean: sum / n, least, most, spread: Math.max(...buckets) -
            Math.min(...buckets), name: Math.random.name, length: Math.random.length, keys: Object.keys(Math) }) };
        };
    """})
    told = daemon.get("/api/one").json()
    assert abs(told["mean"] - 0.5) < 0.01 and told["spread"] < 1000
    assert 0 <= told["least"] < 0.001 and 0.999 < told["most"] < 1
    assert (told["name"], told["length"], told["keys"]) == ("random", 0, [])


def test_random_functions_check_their_arguments_as_before(mayfly):
    daemon = mayfly({"api/one.js": """
        const { randomInt, randomUUID } = require('crypto');
        const tell = (f) => { try { return String(f()); } catch (e) { return e.code; } };
        const all = () => [tell(() => randomInt('x')), tell(() => randomInt(5, 5)), tell(() => randomInt(0)),
          tell(() => randomInt(7, 8)), tell(() => randomUUID('x')), tell(() => randomUUID({ disableEntropyCache: 1 }))];
        const early = all();
        exports.handler = async () => ({ statusCode: 200, body: [...early, ...all()].join('\\n') });
    """})
    told = lines(daemon.get("/api/one"))
    assert told[:6] == told[6:]
    assert told[3] == "7" and "ERR_OUT_OF_RANGE" in told


def test_process_numbers_are_the_workers_own(mayfly):
    daemon = mayfly({"api/one.js": """
        const early = process.pid;
        exports.handler = async () => ({ statusCode: 200, body: JSON.stringify([early, process.pid,
          Number(require('child_process').execFileSync('/bin/sh', ['-c', 'echo $PPID'])), Object.keys(process).includes('pid')]) });
    """})
    early, pid, real, listed = daemon.get("/api/one").json()
    assert pid == real and listed


# ---- what works in a worker ----

WORKS = {
    "timers": "await new Promise((r) => setTimeout(r, 5)); await new Promise(setImmediate);",
    "intervals": "await new Promise((r) => { let n = 0; const t = setInterval(() => { if (++n === 3) { clearInterval(t); r(); } }, 1); });",
    "files": "const fs = require('fs/promises'); await fs.writeFile('/tmp/x', 'y'); if (await fs.readFile('/tmp/x', 'utf8') !== 'y') throw 1;",
    "thread pool": "await require('util').promisify(require('crypto').scrypt)('a', 'b', 32);",
    "compression": "await require('util').promisify(require('zlib').gzip)('x'.repeat(1e5));",
    "sockets": """
        const net = require('net'), { once } = require('events');
        const server = net.createServer((s) => s.pipe(s)).listen(0, '127.0.0.1'); await once(server, 'listening');
        const s = net.connect(server.address().port, '127.0.0.1'); s.write('echo');
        const [data] = await once(s, 'data'); if (String(data) !== 'echo') throw 1; s.destroy(); server.close();""",
    "fetch": """
        const server = require('http').createServer((q, r) => r.end('got')).listen(0, '127.0.0.1');
        await require('events').once(server, 'listening');
        if (await (await fetch(`http://127.0.0.1:${server.address().port}`)).text() !== 'got') throw 1; server.close();""",
    "child processes": """
        const { execFile, execFileSync } = require('child_process');
        if (String(execFileSync('/bin/echo', ['sync'])) !== 'sync\\n') throw 1;
        const { stdout } = await require('util').promisify(execFile)('/bin/echo', ['async']);
        if (stdout !== 'async\\n') throw 2;""",
    "WebAssembly": """
        const wasm = Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b', 'hex');
        const { instance } = await WebAssembly.instantiate(wasm); if (instance.exports.add(2, 3) !== 5) throw 1;""",
    "much garbage": "for (let i = 0; i < 300; i++) globalThis.kept = new Array(20000).fill({ i });",
    "hot code": "let n = 0; for (let i = 0; i < 3e7; i++) n = (n * 31 + i) | 0; if (typeof n !== 'number') throw 1;",
    "dynamic import": "await import('node:querystring');",
    "async hooks": "const a = new (require('async_hooks').AsyncLocalStorage)(); await a.run(7, async () => { await null; if (a.getStore() !== 7) throw 1; });",
    "signals": "await new Promise((r) => { process.once('SIGUSR2', r); process.kill(process.pid, 'SIGUSR2'); });",
}


@pytest.mark.parametrize("what", list(WORKS))
def test_works_in_a_worker(mayfly, what):
    daemon = mayfly({"api/one.js": "exports.handler = async () => { %s ; return { statusCode: 200, body: 'well' }; };" % WORKS[what],
                     "mayfly.json": {"defaults": {"memory": 256, "timeout": 20}}}, command="dev")
    for _ in range(2):
        assert daemon.get("/api/one").text == "well", daemon.stdout


@pytest.mark.parametrize("what", ["crypto.pbkdf2", "zlib.brotliCompress", "fs.stat"])
def test_long_work_of_the_thread_pool_is_waited_for(mayfly, mode, what):
    """A handler that waits for nothing else is not given up: the pool's work is no resource that node lists."""
    work = {"crypto.pbkdf2": "pbkdf2('a', 'b', 1500000, 32, 'sha256'", "fs.stat": "stat('/dev/null'",
            "zlib.brotliCompress": "brotliCompress(require('crypto').randomBytes(1500000)"}[what]
    daemon = mayfly({"api/one.js": """
        const module_ = require('%s');
        exports.handler = () => new Promise((done) => {
          const began = Date.now();
          const again = (error) => (Date.now() - began > 700 ? done({ statusCode: 200, body: String(error) }) : module_.%s, again));
          again(null);
        });
        exports.never = () => new Promise(() => {});
    """ % (what.split(".")[0], work), "mayfly.json": {"functions": {
        "never": {"handler": "api/one.never", "routes": ["/never"]}}, "defaults": {"timeout": 60, "memory": 256}}},
        env=mode, command="dev")
    assert daemon.get("/api/one").text == "null"
    never = daemon.get("/never")
    assert never.status == 500 and never.json()["errorType"] == "Runtime.NodeJsExit"


def test_worker_threads(mayfly):
    """They work, or say that they do not: they never hang."""
    daemon = mayfly({"api/one.js": """
        const { Worker } = require('worker_threads');
        exports.handler = async () => {
          const worker = new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true });
          const answer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
          return { statusCode: 200, body: String(answer) };
        };
    """, "mayfly.json": {"defaults": {"memory": 512, "timeout": 10}}}, command="dev")
    response = daemon.get("/api/one")
    assert response.text == "42", (response, daemon.stdout)


# ---- modules ----


def test_es_modules_may_await_at_their_top(mayfly):
    daemon = mayfly({"api/one.mjs": """
        const word = await new Promise((resolve) => setTimeout(resolve, 10, 'late'));
        export const handler = async () => ({ statusCode: 200, body: word });
    """})
    assert daemon.get("/api/one").text == "late"


def test_package_json_says_what_js_is(mayfly):
    daemon = mayfly({"package.json": {"type": "module"}, "lib/word.js": "export default 'imported';",
                     "api/one.js": """
        import word from '../lib/word.js';
        export default (req, res) => res.end(word);
    """})
    assert daemon.get("/api/one").text == "imported"


def test_typescript_runs_or_names_the_node_that_runs_it(mayfly):
    daemon = mayfly({"api/one.ts": """
        const word: string = 'typed';
        export default (req: unknown, res: { end(text: string): void }) => res.end(word);
    """}, command="dev")
    response = daemon.get("/api/one")
    strips = subprocess.run(["node", "-p", "Boolean(process.features.typescript)"], capture_output=True, text=True,
                            check=True).stdout.strip() == "true"
    if strips:
        assert response.text == "typed"
    else:
        assert response.status == 500 and "does not run TypeScript" in response.json()["errorMessage"]


OF_THE_MACHINE = """
    import os, { userInfo, networkInterfaces, cpus } from 'node:os';
    const early = os.userInfo();
    export const handler = async () => {
      const bytes = os.userInfo({ encoding: 'buffer' });
      return { statusCode: 200, body: JSON.stringify({ user: userInfo(), uid: process.getuid(), early: early.username,
        bytes: [Buffer.isBuffer(bytes.username), bytes.homedir.toString()], nets: networkInterfaces(),
        cpus: cpus(), n: os.availableParallelism?.() ?? 1, same: [os.userInfo === userInfo, os.cpus === cpus],
        names: [userInfo.name, networkInterfaces.name, cpus.name], lengths: [userInfo.length, networkInterfaces.length],
        wrong: (() => { try { return userInfo({ get encoding() { throw new Error('own'); } }); }
          catch (error) { return error.message; } })() }) };
    };
"""


def test_what_node_says_of_user_network_and_processors(mayfly, mode):
    daemon = mayfly({"api/one.mjs": OF_THE_MACHINE}, env=mode)
    for told in (daemon.get("/api/one").json() for _ in range(2)):
        assert told["user"]["uid"] == told["uid"]
        if "sandbox=degraded" not in daemon.log:
            assert told["user"]["username"] == told["early"] == "function"
            assert (told["user"]["homedir"], told["user"]["shell"]) == ("/tmp", "/bin/sh")
            assert told["bytes"] == [True, "/tmp"]
            assert [net["address"] for net in told["nets"]["lo"]] == ["127.0.0.1"] and list(told["nets"]) == ["lo"]
            assert told["nets"]["lo"][0]["internal"] is True
        assert len(told["cpus"]) >= 1 and set(told["cpus"][0]) == {"model", "speed", "times"}
        assert told["same"] == [True, True] and told["names"] == ["userInfo", "networkInterfaces", "cpus"]
        assert told["wrong"] == "own"


# ---- errors and ends ----


def error(daemon, path="/api/one", status=500):
    response = daemon.get(path)
    assert response.status == status, response
    return response.json()


LOAD = {
    "syntax": ("const x = ;", "Runtime.UserCodeSyntaxError", "api/one.js:1"),
    "missing package": ("require('no-such-package');", "Runtime.ImportModuleError", "npm install no-such-package"),
    "missing file": ("require('./nowhere');", "Runtime.ImportModuleError", "./nowhere"),
    "no handler": ("exports.handler = 7;", "Runtime.HandlerNotFound", "of type number"),
    "throws": ("function early() { throw new RangeError('too early'); }\nearly(); exports.handler = () => {};",
               "RangeError", "at early"),
    "exits": ("process.exit(3); exports.handler = () => {};", "Runtime.ExitError", "exit status 3"),
    "rejects": ("Promise.reject(new TypeError('nobody')); exports.handler = () => {};", "TypeError", "nobody"),
}


@pytest.mark.parametrize("what", list(LOAD))
def test_a_module_that_cannot_be_loaded_says_why(mayfly, mode, what):
    source, kind, text = LOAD[what]
    daemon = mayfly({"one.js": source + "\n", "mayfly.json": {"functions": {"one": {
        "handler": "one.handler", "routes": ["/api/one"]}}}}, command="dev", env=mode)
    told = error(daemon)
    assert told["errorType"] == kind
    assert text.replace("api/", "") in json.dumps(told), told


ENDS = {
    "throw": ("throw new TypeError('thrown');", "TypeError", "thrown"),
    "throw nothing": ("throw undefined;", "undefined", "undefined"),
    "throw text": ("throw 'words';", "string", "words"),
    "reject elsewhere": ("Promise.reject(new Error('nobody')); await new Promise((r) => setTimeout(r, 5000));", "Error", "nobody"),
    "throw later": ("setTimeout(() => { throw new Error('later'); }, 5); await new Promise((r) => setTimeout(r, 5000));", "Error", "later"),
    "exit": ("process.exit(4);", "Runtime.ExitError", "exit status 4"),
    "exit 0": ("process.exit();", "Runtime.ExitError", "without providing a reason"),
    "never": ("await new Promise(() => {});", "Runtime.NodeJsExit", "cannot be settled"),
}


@pytest.mark.parametrize("what", list(ENDS))
def test_a_request_that_goes_wrong_is_told(mayfly, mode, what):
    source, kind, text = ENDS[what]
    daemon = mayfly({"api/one.js": "exports.handler = async () => { %s };" % source,
                     "mayfly.json": {"defaults": {"timeout": 10}}}, command="dev", env=mode)
    told = error(daemon)
    assert (told["errorType"], text in told["errorMessage"]) == (kind, True), told
    assert error(daemon)["errorType"] == kind  # the zygote goes on


def test_who_listens_for_uncaught_errors_takes_care_of_them(mayfly):
    daemon = mayfly({"api/one.js": """
        process.on('uncaughtException', () => {});
        module.exports = (req, res) => { setTimeout(() => { throw new Error('ignored'); }, 1); setTimeout(() => res.end('well'), 20); };
    """})
    assert daemon.get("/api/one").text == "well"


def test_an_error_behind_the_start_of_an_answer_breaks_it_off(mayfly):
    daemon = mayfly({"api/one.js": """
        module.exports = async (req, res) => {
          res.write('part'); await new Promise((r) => setTimeout(r, 50)); throw new Error('too late');
        };
    """})
    raw = b""
    with daemon.connect() as connection:
        connection.send(b"GET /api/one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        try:
            while more := connection.socket.recv(65536):
                raw += more
        except ConnectionResetError:
            pass
    assert b"part" in raw and not raw.endswith(b"0\r\n\r\n")


def test_stacks_at_the_deadline(mayfly):
    daemon = mayfly({"api/spin.js": "function spinner() { for (;;); }\nmodule.exports = () => spinner();",
                     "api/wait.js": "module.exports = () => new Promise((r) => setTimeout(r, 1e6));",
                     "mayfly.json": {"defaults": {"timeout": 1}}}, command="dev")
    assert any("at spinner" in line for line in error(daemon, "/api/spin", 504)["stackTrace"])
    stack = error(daemon, "/api/wait", 504)["stackTrace"]
    assert any("event loop waits" in line for line in stack) and any("Timeout" in line for line in stack)


def test_memory_that_runs_out_is_named(mayfly):
    daemon = mayfly({"api/heap.js": "module.exports = () => { const all = []; for (;;) all.push(new Array(1000).fill(all.length)); };",
                     "api/buffers.js": "module.exports = () => { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1)); };",
                     "api/ok.js": "module.exports = (req, res) => res.end('ok');",
                     "mayfly.json": {"defaults": {"memory": 64, "timeout": 60}}}, command="dev")
    for path in ("/api/heap", "/api/buffers"):
        response = daemon.get(path, timeout=60)
        assert response.status in (500, 502), response
        assert "OutOfMemory" in response.text, (path, response, daemon.stdout)
    assert daemon.get("/api/ok").text == "ok"


def test_what_is_printed_last_is_not_lost(mayfly):
    daemon = mayfly({"api/one.js": """
        module.exports = (req, res) => {
          for (let i = 0; i < 2000; i++) console.log('line ' + i);
          console.error('the last'); res.end('ok');
        };
    """}, command="dev")
    assert daemon.get("/api/one").text == "ok"
    wait_until(lambda: "the last" in daemon.stdout and "line 1999" in daemon.stdout, "all lines")


# ---- versions, and which node ----


@pytest.mark.parametrize("major", [18, 20, 22, 24])
def test_each_version_of_node_serves_whether_it_can_be_forked_or_not(mayfly, major):
    daemon = mayfly({"mayfly.json": {"node": str(npm.node_of(major)), "defaults": {"memory": 256}}, "api/one.js": """
        let n = 0;
        exports.handler = async () => {
          await require('fs/promises').stat('/tmp');
          return { statusCode: 200, body: `${process.versions.node} ${++n} ${Math.random()}` };
        };
    """, "api/bad.mjs": "export default function wrong() { throw new Error('bad'); }"}, command="dev")
    answers = [daemon.get("/api/one").text.split() for _ in range(4)]
    assert {a[0].split(".")[0] for a in answers} == {str(major)} and {a[1] for a in answers} == {"1"}
    assert len({a[2] for a in answers}) == 4
    assert "at wrong" in json.dumps(error(daemon, "/api/bad"))


def test_inspect_says_which_node_and_whether_it_forks(mayfly):
    project = {"api/one.js": "module.exports = (req, res) => res.end('ok');"}
    daemon = mayfly(project)
    told = json.loads(daemon.cli("inspect", "--project", daemon.project, "api/one", "--json").stdout)
    assert "node" in json.dumps(told) and re.search(r"\d+\.\d+\.\d+", json.dumps(told))
    assert "forked" in daemon.cli("inspect", "--project", daemon.project, "api/one").stdout
    single = daemon.cli("inspect", "--project", daemon.project, "api/one", env={"MAYFLY_NODE_FORK": "0"}).stdout
    assert "MAYFLY_NODE_FORK=0" in single


def test_a_node_that_is_not_there_is_named(mayfly):
    daemon = mayfly({"mayfly.json": {"node": "/opt/nowhere/node"}, "api/one.js": "module.exports = (q, r) => r.end();"},
                    command="dev")
    told = error(daemon)
    assert "/opt/nowhere/node" in told["errorMessage"] and "mayfly.json:2" in told["errorMessage"]


# ---- a Lambda handler's request, which is read and answered without the event loop ----

LOOKS = """
    exports.handler = async (event) => ({ statusCode: 200, headers: { 'X-Length': (event.body ?? '').length },
      body: JSON.stringify(process.getActiveResourcesInfo()) });
"""


def test_a_lambda_handler_finds_no_socket_of_the_hosts(mayfly):
    daemon = mayfly({"api/one.js": LOOKS})
    assert daemon.get("/api/one").json() == ["PipeWrap", "PipeWrap"]  # stdout, stderr


@pytest.mark.parametrize("timer", ["setInterval(() => { ticks++; }, 5)", "setInterval(() => { ticks++; }, 5).unref()"])
def test_timers_of_the_loading_phase_go_on_in_a_worker(mayfly, timer):
    daemon = mayfly({"api/one.js": f"""
        let ticks = 0;
        {timer};
        exports.handler = async () => {{
          const before = ticks;
          while (ticks < before + 3) await new Promise((resolve) => setTimeout(resolve, 5));
          return {{ statusCode: 200, body: 'ticks' }};
        }};
    """})
    assert [daemon.get("/api/one").text for _ in range(3)] == ["ticks"] * 3


def test_a_timer_counts_from_the_request_on(mayfly):
    """Not from when the zygote last looked at the clock."""
    daemon = mayfly({"api/one.js": """
        exports.handler = async () => {
          const start = performance.now();
          await new Promise((resolve) => setTimeout(resolve, 300));
          return { statusCode: 200, body: String(performance.now() - start) };
        };
    """})
    daemon.get("/api/one")
    time.sleep(1)
    assert float(daemon.get("/api/one").text) > 295


def test_a_body_in_pieces_arrives_whole(mayfly):
    daemon = mayfly({"api/one.js": LOOKS})
    with daemon.connect() as client:
        client.send(b"POST /api/one HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
                    b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            time.sleep(0.1)
            client.send(b"2710\r\n" + b"a" * 10000 + b"\r\n")
        client.send(b"0\r\n\r\n")
        assert b"x-length: 30000" in client.rest().lower()


def test_an_answer_of_many_bytes_arrives_whole(mayfly):
    daemon = mayfly({"api/one.js": """
        exports.handler = async () => ({ statusCode: 200, body: 'b'.repeat(5e6) });
    """})
    assert daemon.get("/api/one").body == b"b" * 5_000_000
