'use strict';
// AWS Lambda's handler(event, context).
const probe = require('./probe.js');

exports.handler = async (event) => {
  const headers = Object.entries(event.headers);
  if (event.cookies?.length) headers.push(['cookie', event.cookies.join('; ')]);
  const answer = await probe.answer({
    method: event.requestContext.http.method, path: event.rawPath,
    query: Object.entries(event.queryStringParameters ?? {}), headers,
    body: [Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8')],
  });
  const pieces = [];
  for await (const piece of answer.pieces) pieces.push(piece);
  return {
    statusCode: answer.status,
    headers: Object.fromEntries(answer.headers.filter(([name]) => name !== 'Set-Cookie')),
    cookies: answer.headers.filter(([name]) => name === 'Set-Cookie').map(([, value]) => value),
    body: Buffer.concat(pieces).toString('base64'), isBase64Encoded: true,
  };
};
