// A TCP proxy that can be disconnected from its upstream, as a database behind a broken network.

import net from 'node:net';
import { LOOPBACK } from '../net.mjs';

/** Starts a proxy for a loopback port. */
export async function startFlakyProxy(upstreamPort) {
  const sockets = new Set();
  let server;
  let port = 0;

  function connect(client) {
    const upstream = net.connect(upstreamPort, LOOPBACK);
    for (const [socket, peer] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket);
      socket.pipe(peer);
      socket.on('error', () => {}); // "close" follows
      socket.on('close', () => { sockets.delete(socket); peer.destroy(); });
    }
  }

  async function reconnect() {
    server = net.createServer(connect);
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, LOOPBACK, resolve);
    });
    ({ port } = server.address());
  }

  await reconnect();
  return {
    port,
    /** Accepts connections again, at the same port. */
    reconnect,
    /** Closes all connections and rejects new ones. */
    async disconnect() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
