'use strict';

/* The worker's end of the wire: HTTP/1.1 on descriptor 3, spoken by node's own http.Server. So what an
 * adapter gets are the request and response that every Node program knows, and streams, back-pressure
 * and upgrades are node's affair. */

const http = require('http');
const net = require('net');
const v8 = require('v8');
const vm = require('vm');

const direct = require('./direct');
const end = require('./end');
const errors = require('./errors');
const identity = require('./identity');

const REQUEST_FD = 3;
const HEAD_BYTES_MAX = 1 << 20; /* the gateway's limits are the ones that count */
const WARM_UPS = 12; /* until V8 has compiled what a request runs, and filled its caches */
const HEAD = ' /rehearsal?a=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: rehearsal\r\nCookie: a=1\r\n' +
  'Mayfly-Client-Ip: 127.0.0.1\r\nMayfly-Request-Id: 0\r\nMayfly-Trigger: http\r\n';
const REHEARSALS = [`GET${HEAD}\r\n`, `POST${HEAD}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`];

/* What a first console.log() builds, with nothing printed. */
function rehearseOutput() {
  for (const stream of [process.stdout, process.stderr]) {
    const { write } = stream;

    stream.write = () => true;
    console[stream === process.stdout ? 'log' : 'error']('text', 1, { a: [true, null] }, new Error('none').message);
    delete stream.write;
    if (stream.write !== write) stream.write = write;
  }
}

/* Of the event loop. By a timer, behind which node takes no timer for active that is gone. */
function turn() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

class Server {
  constructor(addon, start, adapter) {
    this.addon = addon;
    this.adapter = adapter;
    this.isInstance = start.isolation === 'instance';
    this.isRehearsal = true;
    this.rehearsals = 0;
    this.isDirect = false;
    this.current = null; /* the request that is at work: [req, res] */
    this.server = null;
    if (!Server.catches) addon.catchSignals((why) => Server.current.onDeadline(why));
    Server.catches = true;
    Server.current = this; /* the last: one that tells why there is no other */
  }

  open() {
    this.server = http.createServer({ maxHeaderSize: HEAD_BYTES_MAX }, (req, res) => this.answer(req, res));
    for (const name of ['timeout', 'keepAliveTimeout', 'headersTimeout', 'requestTimeout', 'maxRequestsPerSocket'])
      this.server[name] = 0;
    if (this.adapter.upgrade) this.server.on('upgrade', (req, socket, head) => this.onUpgrade(req, socket, head));
  }

  /* With its timer. */
  close() {
    this.server.close();
    this.server = null;
  }

  /* ---- ahead of requests ---- */

  /* A request as they will come, over a real pair of sockets, to an adapter that only touches. */
  rehearse() {
    if (!this.addon.pair) return Promise.resolve();
    return new Promise((resolve) => {
      const [here, there] = this.addon.pair();
      const client = new net.Socket({ fd: there, readable: true, writable: true });
      let left = 2;
      const onClose = () => --left === 0 && resolve();

      client.on('error', () => {});
      client.on('data', () => client.end()).on('close', onClose);
      this.connect(here).on('close', onClose);
      client.write(REHEARSALS[this.rehearsals++ % REHEARSALS.length]);
    });
  }

  /* In the zygote, often enough for V8 to have seen it all: what a worker compiles, it has to copy. */
  async warmUp() {
    await this.rehearse();
    if (this.adapter.direct && !this.isInstance) {
      this.close();
      await turn();
      this.isDirect = this.addon.isQuiet();
    }
    if (this.isDirect) direct.prepare(this.addon);
    /* Garbage is not handed down, nor left to be swept up by each worker. */
    v8.setFlagsFromString('--expose-gc');
    vm.runInNewContext('gc')();
    rehearseOutput();
    identity.rehearse();
    for (let i = 0; i < WARM_UPS; i++) {
      await (this.isDirect ? direct.rehearse(this.adapter) : this.rehearse());
      await turn();
    }
  }

  /* In the zygote, in the turn of the event loop from which workers go on. */
  ready() {
    this.isDirect = this.isDirect && this.addon.isQuiet();
    if (this.isDirect) direct.schedule();
  }

  /* What the adapter does with a request, with another function than the author's. Whatever goes wrong
   * goes wrong again when it counts, and is told then. */
  async touch(req, res) {
    try {
      if (this.adapter.touch) this.adapter.touch();
      await this.adapter.rehearse(req, res);
    } catch {
      res.destroy();
    }
  }

  /* ---- requests ---- */

  /* In a worker, right after the fork. */
  async work() {
    identity.renew();
    if (this.isDirect) return direct.work(this.adapter);
    if (!this.addon.waits()) await this.rehearse();
    return this.serve();
  }

  connect(fd) {
    if (!this.server) this.open();
    const socket = new net.Socket({ fd, readable: true, writable: true });

    socket.on('error', () => {});
    this.server.emit('connection', socket);
    return socket;
  }

  serve() {
    this.isRehearsal = false;
    /* Not needed, or not needed any more. Whoever waits for an answer has ended us before. */
    this.connect(REQUEST_FD).on('close', () => this.current || end.exit(0));
  }

  async answer(req, res) {
    let ended = false; /* by an error that the adapter does not know of */
    const sent = new Promise((resolve) => {
      res.once('finish', resolve);
      res.once('close', resolve);
    });

    res.sendDate = false; /* the gateway's affair */
    this.current = [req, res];
    end.whileServing((error, exit) => {
      if (ended) return;
      ended = true;
      if (res.writableEnded) errors.print(error); /* behind the answer: for the log alone */
      else errors.fail(req, res, error);
      sent.then(exit);
    });
    try {
      await (this.isRehearsal ? this.touch(req, res) : this.adapter.handle(req, res));
    } catch (error) {
      if (!ended) errors.fail(req, res, error);
    }
    await sent;
    if (ended) return;
    this.current = null;
    end.whileServing(null);
    if (this.isRehearsal) return;
    if (!this.isInstance || req.socket.destroyed) end.exit(0);
  }

  async onUpgrade(req, socket, head) {
    socket.once('close', () => end.exit(0));
    try {
      await this.adapter.upgrade(req, socket, head);
    } catch (error) {
      errors.print(error);
      socket.destroy();
    }
  }

  /* ---- the end of its time ---- */

  /* Called by the addon, on top of what runs or out of the event loop that waits. */
  onDeadline(why) {
    const lines = ['still running at the deadline'];

    if (why === 'running') {
      const { stack } = new Error('stack');
      lines.push('main thread (most recent call first):',
        ...stack.split('\n').slice(1).filter((line) => !errors.isFrameOfOthers(line)));
    } else {
      const counts = new Map();
      for (const name of process.getActiveResourcesInfo())
        counts.set(name, (counts.get(name) || 0) + 1);
      lines.push('the event loop waits; active are:',
        ...[...counts].map(([name, n]) => `    ${name}${n > 1 ? ` (${n})` : ''}`));
    }
    process._rawDebug(`\x1estack\n${lines.join('\n')}`);
    this.addon.exit(124);
  }
}

module.exports = Server;
