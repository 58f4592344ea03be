// AWS Lambda's response streaming.
import { once } from 'node:events';
import probe from './probe.js';

export const handler = awslambda.streamifyResponse(async (event, responseStream) => {
  const headers = Object.entries(event.headers);
  if (event.cookies?.length) headers.push(['cookie', event.cookies.join('; ')]);
  const answer = await probe.answer({
    method: event.requestContext.http.method, path: event.rawPath,
    query: Object.entries(event.queryStringParameters ?? {}), headers,
    body: [Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8')],
  });
  const out = awslambda.HttpResponseStream.from(responseStream, {
    statusCode: answer.status,
    headers: Object.fromEntries(answer.headers.filter(([name]) => name !== 'Set-Cookie')),
    cookies: answer.headers.filter(([name]) => name === 'Set-Cookie').map(([, value]) => value),
  });
  for await (const piece of answer.pieces) if (!out.write(piece)) await once(out, 'drain');
  out.end();
});
