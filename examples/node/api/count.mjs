// The Web's Request and Response: an answer that streams, one line each 100 ms.
export function GET(request) {
  const to = Number(new URL(request.url).searchParams.get('to') ?? 3);
  let n = 0;

  return new Response(new ReadableStream({
    async pull(controller) {
      if (n === to) return controller.close();
      await new Promise((resolve) => setTimeout(resolve, 100));
      controller.enqueue(new TextEncoder().encode(`${++n}\n`));
    },
  }), { headers: { 'Content-Type': 'text/plain' } });
}
