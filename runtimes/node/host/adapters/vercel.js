'use strict';

/* (req, res), as Vercel and Node itself have it. */

const { ended, isResponse, nameClient } = require('./common');
const { ApiError, addHelpers, readAhead } = require('./vercel-helpers');
const waitings = require('./waiting');

function refuse(res, error) {
  res.statusCode = error.statusCode;
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.setHeader('Content-Type', 'text/plain; charset=utf-8');
  res.end(error.message);
}

async function handle(handler, req, res) {
  const waiting = waitings.begin(req);
  const isEnded = ended(res);

  nameClient(req);
  await readAhead(req);
  addHelpers(req, res);
  try {
    const result = await handler(req, res);
    if (isResponse(result) && !res.headersSent && !res.writableEnded)
      await require('./web-response').send(res, result, req.method);
  } catch (error) {
    if (!(error instanceof ApiError) || res.headersSent) throw error;
    refuse(res, error);
  }
  await isEnded; /* as long as it takes: until the deadline */
  await waiting.settled();
}

/* As most do, in one way or another. */
const MANNERS = [
  (req, res) => {
    res.setHeader('Content-Type', 'application/json');
    res.setHeader('Content-Length', 2);
    res.end('{}');
  },
  (req, res) => res.status(200).json({ query: req.query, cookies: req.cookies, body: req.body }),
  (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/plain' });
    res.end('text');
  },
  async (req, res) => res.send(req.url),
];

function create(handler) {
  let rehearsals = 0;

  waitings.install();
  return {
    handle: (req, res) => handle(handler, req, res),
    rehearse: (req, res) => handle(MANNERS[(rehearsals++ >> 1) % MANNERS.length], req, res),
  };
}

module.exports = { create };
