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

function create(handler) {
  waitings.install();
  return {
    async handle(req, res) {
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
    },
  };
}

module.exports = { create };
