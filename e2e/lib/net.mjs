// Loopback ports: allocating free ones, and checking whether a port accepts connections.

import net from 'node:net';

export const LOOPBACK = '127.0.0.1';

// Between the choice of a port and its use, and while a program restarts, the port is unbound, and another process could
// take it. So ports are below the ephemeral range (from 32768 on Linux), and each test process claims a block of them: the
// process that listens on the first port of a block owns the block.
const [FIRST, LAST, BLOCK] = [12_000, 32_000, 200];
let block;
let used = 0;

/** Returns count different free ports. No port is returned twice. */
export async function freePorts(count) {
  block ??= claimBlock();
  const first = await block;
  const ports = [];
  while (ports.length < count) {
    used += 1;
    if (used === BLOCK) throw new Error(`a test process needs more than ${BLOCK} ports`);
    const server = await listen(first + used);
    if (!server) continue;
    await new Promise((resolve) => server.close(resolve));
    ports.push(first + used);
  }
  return ports;
}

/** Claims a block until the process ends. Returns its first port. */
async function claimBlock() {
  const blocks = Math.floor((LAST - FIRST) / BLOCK);
  const start = process.pid % blocks; // processes that start at the same time should not all try the same blocks
  for (let i = 0; i < blocks; i++) {
    const first = FIRST + ((start + i) % blocks) * BLOCK;
    const claim = await listen(first);
    if (!claim) continue;
    claim.unref();
    return first;
  }
  throw new Error(`no block of free ports from ${FIRST} to ${LAST}`);
}

/** Listens on a port. Returns undefined if the port is in use. */
function listen(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', (error) => (['EADDRINUSE', 'EACCES'].includes(error.code) ? resolve(undefined) : reject(error)));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => resolve(server));
  });
}

/** Reports whether the port accepts connections. */
export function isListening(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, LOOPBACK);
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
