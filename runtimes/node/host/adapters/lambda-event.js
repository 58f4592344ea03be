'use strict';

/* The Function URL event, payload format 2.0, and the context. Both are those that functions in
 * Python get (runtimes/python/lambda.c), in Node's spelling. */

const { HostError } = require('./common');
const { isUtf8 } = require('buffer');

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const twoDigits = (n) => (n < 10 ? '0' : '') + n;

/* "12/Mar/2020:19:03:58 +0000" */
function timeText(ms) {
  const t = new Date(ms);
  return `${twoDigits(t.getUTCDate())}/${MONTHS[t.getUTCMonth()]}/${t.getUTCFullYear()}:` +
    `${twoDigits(t.getUTCHours())}:${twoDigits(t.getUTCMinutes())}:${twoDigits(t.getUTCSeconds())} +0000`;
}

/* Names in lower case, values of one name joined, cookies apart, mayfly's own left out. */
function putHeaders(event, rawHeaders) {
  const headers = {};
  const cookies = [];

  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    const value = rawHeaders[i + 1];
    if (name === 'cookie')
      cookies.push(...value.split(';').map((cookie) => cookie.trim()).filter(Boolean));
    else if (name === '__proto__')
      Object.defineProperty(headers, name, { value, enumerable: true, configurable: true, writable: true });
    else if (!name.startsWith('mayfly-') && name !== 'transfer-encoding')
      headers[name] = Object.hasOwn(headers, name) ? `${headers[name]},${value}` : value;
  }
  event.headers = headers;
  if (cookies.length > 0) event.cookies = cookies;
}

/* Decoded as forms are; a bad %HH stays as it is, bytes that are not UTF-8 become U+FFFD. */
function queryParameters(query) {
  const joined = new Map();
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === '' && value === '' && !/(^|&)=(?=.)/.test(query)) continue;
    joined.set(name, joined.has(name) ? `${joined.get(name)},${value}` : value);
  }
  return Object.fromEntries(joined);
}

function isText(contentType) {
  const kind = (contentType || '').split(';', 1)[0].trim().toLowerCase();
  return kind === '' || kind.startsWith('text/') || /(json|xml|javascript)$/.test(kind);
}

function isValidUtf8(body) {
  return isUtf8 ? isUtf8(body) : Buffer.from(body.toString('utf8')).equals(body);
}

/* As text if it is of a text type and UTF-8, else in base64; forms are not text to Lambda. */
function putBody(event, body) {
  if (body.length === 0) return;
  event.isBase64Encoded = !(isText(event.headers['content-type']) && isValidUtf8(body));
  event.body = body.toString(event.isBase64Encoded ? 'base64' : 'utf8');
}

function fromHttp(req, body) {
  const mark = req.url.indexOf('?');
  const path = mark < 0 ? req.url : req.url.slice(0, mark);
  const query = mark < 0 ? '' : req.url.slice(mark + 1);
  const host = req.headers.host || '';
  const now = Date.now();
  const event = { version: '2.0', routeKey: '$default', rawPath: path, rawQueryString: query };

  putHeaders(event, req.rawHeaders);
  if (query) event.queryStringParameters = queryParameters(query);
  event.requestContext = {
    accountId: 'anonymous', /* that of AuthType NONE */
    apiId: 'mayfly',
    authentication: null,
    authorizer: null,
    domainName: host,
    domainPrefix: host.split(/[.:]/, 1)[0],
    http: {
      method: req.method,
      path,
      protocol: 'HTTP/1.1',
      sourceIp: req.headers['mayfly-client-ip'] || '127.0.0.1',
      userAgent: req.headers['user-agent'] || '',
    },
    requestId: req.headers['mayfly-request-id'] || '',
    routeKey: '$default',
    stage: '$default',
    time: timeText(now),
    timeEpoch: now,
  };
  event.pathParameters = null;
  event.isBase64Encoded = false;
  event.stageVariables = null;
  putBody(event, body);
  return event;
}

/* The event of a trigger other than http is the body. An empty one is {}, as Lambda has it. */
function fromJson(body) {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new HostError('Runtime.UnmarshalError', `Unable to unmarshal input: ${error.message}`);
  }
}

function isHttp(req) {
  const trigger = req.headers['mayfly-trigger'];
  return trigger === undefined || trigger === 'http';
}

/* ---- the context ---- */

class Context {
  constructor(start, req) {
    const region = process.env.AWS_REGION || 'us-east-1';
    const deadline = Number(req.headers['mayfly-deadline-ms']) || Date.now() + start.timeoutMs;

    this.callbackWaitsForEmptyEventLoop = true;
    this.functionName = start.function;
    this.functionVersion = start.version;
    this.invokedFunctionArn = `arn:aws:lambda:${region}:000000000000:function:${start.function}`;
    this.memoryLimitInMB = String(Math.floor(start.memoryBytes / (1024 * 1024)));
    this.awsRequestId = req.headers['mayfly-request-id'] || '';
    this.logGroupName = `/aws/lambda/${start.function}`;
    this.logStreamName = `${new Date().toISOString().slice(0, 10).replace(/-/g, '/')}/` +
      `[${start.version}]${this.awsRequestId.replace(/-/g, '')}`;
    this.identity = undefined;
    this.clientContext = undefined;
    this.getRemainingTimeInMillis = () => Math.max(0, deadline - Date.now());
  }
}

module.exports = { Context, fromHttp, fromJson, isHttp };
