// The way to a server, which can be cut and mended.

import net from 'node:net';
import { LOOPBACK } from '../../e2e/lib/net.mjs';

/** Lays a cable to a port of the loopback: what connects to its own port is connected with that one. */
export async function layCable(to) {
  const ends = new Set();
  let server;
  let port = 0;

  function connect(here) {
    const there = net.connect(to, LOOPBACK);
    for (const [end, other] of [[here, there], [there, here]]) {
      ends.add(end);
      end.pipe(other);
      end.on('error', () => {}); // "close" comes next
      end.on('close', () => { ends.delete(end); other.destroy(); });
    }
  }

  async function mend() {
    server = net.createServer(connect);
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, LOOPBACK, resolve);
    });
    ({ port } = server.address());
  }

  await mend();
  return {
    port,
    mend,
    /** Breaks all connections and refuses new ones. */
    async cut() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const end of ends) end.destroy();
      await closed;
    },
  };
}
