// A proxy before a daemon, at an origin of its own, which changes answers on their way: the head, or how the body is sent.
import { createServer, request } from 'node:http';

// `change(url, head)` may change the head; `send(url, body, response)` says whether it has sent the body in its own way. What is
// posted to `/policy-reports` is kept in `reports`.
export async function startProxy(url, { change = () => {}, send = () => false } = {}) {
  const reports = [];
  const sockets = new Set();
  const server = createServer(async (asked, response) => {
    const parts = [];
    for await (const part of asked) parts.push(part);
    if (asked.url === '/policy-reports') {
      reports.push(Buffer.concat(parts).toString());
      response.writeHead(204).end();
      return;
    }
    const headers = { ...asked.headers, host: new URL(url).host };
    const onward = request(`${url}${asked.url}`, { method: asked.method, headers, agent: false }, (answer) => {
      const head = { ...answer.headers };
      change(asked.url, head);
      response.writeHead(answer.statusCode, head);
      send(asked.url, answer, response) || answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.end(Buffer.concat(parts));
  });
  server.on('connection', (socket) => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)); });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  // A test that fails leaves it behind.
  server.unref();
  const end = () => { for (const socket of sockets) socket.destroy(); server.close(); };
  return { url: `http://127.0.0.1:${server.address().port}`, reports, end };
}
