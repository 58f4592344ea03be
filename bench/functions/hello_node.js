'use strict';
// The same answer from an AWS Lambda handler and from a function of (req, res).

const HELLO = '{"hello":"mayfly"}\n';

exports.handler = async () => ({
  statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: HELLO,
});

exports.reqres = (req, res) => {
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Content-Length', Buffer.byteLength(HELLO));
  res.end(HELLO);
};
