// Loopback ports: finding free ones, and seeing whether somebody listens.

import net from 'node:net';

export const LOOPBACK = '127.0.0.1';

// Between the choice of a port and its use, and while a stopped program is to come back, nobody listens there. So that
// nobody else takes it meanwhile, ports are below those that systems give to whom asks for any (from 32768 on Linux),
// and each process has a block of them for itself: who listens at the first port of a block has it.
const [FIRST, LAST, BLOCK] = [12_000, 32_000, 200];
let block;
let used = 0;

/** Gives count different ports on which nobody listens at this moment, and which this process gives to nobody else. */
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

/** Claims a block until the process ends; gives its first port. */
async function claimBlock() {
  const blocks = Math.floor((LAST - FIRST) / BLOCK);
  const start = process.pid % blocks; // so that those that start together do not all try the same ones
  for (let i = 0; i < blocks; i++) {
    const first = FIRST + ((start + i) % blocks) * BLOCK;
    const claim = await listen(first);
    if (!claim) continue;
    claim.unref();
    return first;
  }
  throw new Error(`no block of free ports from ${FIRST} to ${LAST}`);
}

/** Listens on a port; gives nothing if it is taken. */
function listen(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', (error) => (['EADDRINUSE', 'EACCES'].includes(error.code) ? resolve(undefined) : reject(error)));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => resolve(server));
  });
}

/** Tells whether a connection to the port is accepted. */
export function isListening(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, LOOPBACK);
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
