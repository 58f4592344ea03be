// What each client's function does, by the last part of the event's path.
let count = 0;
const answer = (body, more) => ({ statusCode: 200, body, ...more });

async function act(event, context) {
  count++;
  switch (event.rawPath.split('/').pop()) {
    case 'echo':
      return answer(event.body, {
        isBase64Encoded: event.isBase64Encoded,
        cookies: ['c=1', 'd=2'],
        headers: { 'X-Function': context.functionName },
      });
    case 'error':
      throw new TypeError('broken');
    case 'panic':
      setTimeout(() => { throw new Error('in a timer'); }, 1);
      return new Promise(() => {});
    default:
      return answer(String(count));
  }
}
exports.handler = act;

exports.stream = awslambda.streamifyResponse(async (event, out) => {
  const http = awslambda.HttpResponseStream.from(out, {
    statusCode: 202, headers: { 'X-A': 'b' }, cookies: ['c=1', 'd=2'],
  });
  http.write('one');
  if (event.rawPath.endsWith('/late')) {
    await new Promise((done) => setTimeout(done, 50));
    http.destroy(new TypeError('too late'));
    return;
  }
  http.write(' two');
  http.end();
});
