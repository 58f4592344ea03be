'use strict';

/* An http.Server that has called listen(), or an application that is a listener of one. Requests are
 * its events; there is no port. */

const { ended, nameClient } = require('./common');
const waitings = require('./waiting');

function listenerOf(handler) {
  return handler.server ? (req, res) => handler.server.emit('request', req, res) : handler.listener;
}

async function handle(listener, req, res) {
  const isEnded = ended(res);
  const waiting = waitings.begin(req);

  nameClient(req);
  await listener(req, res);
  await isEnded;
  await waiting.settled();
}

function rehearsed(req, res) {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.end('{}');
}

function create(handler) {
  const listener = listenerOf(handler);
  const adapter = {
    handle: (req, res) => handle(listener, req, res),
    rehearse: (req, res) => handle(rehearsed, req, res),
  };

  waitings.install();
  /* Without a listener Node gives a request for an upgrade to 'request'; so shall the host. */
  if (handler.server && handler.server.listenerCount('upgrade') > 0)
    adapter.upgrade = (req, socket, head) => {
      nameClient(req);
      handler.server.emit('upgrade', req, socket, head);
    };
  return adapter;
}

module.exports = { create };
