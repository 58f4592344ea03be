// The Web's fetch(Request) -> Response.
import probe from './probe.js';

export default {
  async fetch(request) {
    const url = new URL(request.url);
    const { status, headers, pieces } = await probe.answer({
      method: request.method, path: decodeURIComponent(url.pathname), query: [...url.searchParams],
      headers: [...request.headers], body: request.body ?? [],
    });
    const list = new Headers();
    for (const [name, value] of headers) list.append(name, value);
    const source = (pieces[Symbol.asyncIterator] ?? pieces[Symbol.iterator]).call(pieces);
    const body = new ReadableStream({
      async pull(controller) {
        const { value, done } = await source.next();
        if (done) controller.close(); else controller.enqueue(new Uint8Array(value));
      },
    });
    return new Response([204, 304].includes(status) ? null : body, { status, headers: list });
  },
};
