// A Lambda handler. The module is loaded once; each request runs in a process forked from there.
const started = new Date().toISOString();

exports.handler = async (event) => {
  const name = event.queryStringParameters?.name ?? 'world';
  return { statusCode: 200, headers: { 'X-Loaded-At': started }, body: `Hello, ${name}!\n` };
};
