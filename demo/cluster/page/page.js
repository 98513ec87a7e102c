// The page of `make demo-cluster`: asks each gate with one key, and measures how long a change takes to reach it.

const GATES = [1, 2, 3];
const SOURCE = '3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44'; // of the fake DocsGPT
const INTERVAL = 250; // milliseconds between two requests to a gate
const $ = (id) => document.getElementById(id);

let key = null; // {id, token}
let change = null; // {expected, at, last}: the state that the last change leads to, when it was requested, and whether it is a revocation
const rows = new Map();

for (const gate of GATES) {
  const row = document.createElement('tr');
  row.id = `gate-${gate}`;
  const cells = ['gate', 'state', 'last', 'delay', 'stream'].map((name) => {
    const cell = document.createElement(name === 'gate' ? 'th' : 'td');
    cell.dataset.cell = name;
    row.append(cell);
    return cell;
  });
  cells[0].scope = 'row';
  cells[0].textContent = `Gate ${gate}`;
  cells[1].textContent = '-';
  $('gates').append(row);
  rows.set(gate, { state: cells[1], last: cells[2], delay: cells[3], stream: cells[4], reached: null });
}

/** Calls the API of a gate's console. */
async function callAPI(gate, path, body) {
  const response = await fetch(`gate/${gate}/v1/keys${path}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
  });
  const result = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(result.detail || result.title || `status ${response.status}`);
  return result;
}

/** Asks a gate with the key, and returns the state of the key there. */
async function ask(url) {
  const started = performance.now();
  try {
    const response = await fetch(`${url}/api/answer`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ question: 'Which source?', save_conversation: false, api_key: key.token }),
    });
    await response.text();
    const state = { 200: 'valid', 401: 'rejected' }[response.status] || 'unknown';
    return { state, status: response.status, took: performance.now() - started, gate: response.headers.get('Gate') };
  } catch {
    return { state: 'unknown', status: 'no response', took: performance.now() - started };
  }
}

async function watch(gate) {
  const row = rows.get(gate);
  for (;;) {
    if (key && !(change.last && row.reached === change)) {
      const asked = key;
      const result = await ask(`gate/${gate}/ask`);
      if (asked !== key) continue;
      row.state.textContent = { valid: 'is valid', rejected: 'is rejected', unknown: 'is not known' }[result.state];
      row.state.dataset.state = result.state;
      row.last.textContent = `${result.status}, ${result.took.toFixed(0)} ms`;
      if (result.state === change.expected && row.reached !== change) {
        row.reached = change;
        row.delay.textContent = `after ${(performance.now() - change.at).toFixed(0)} ms`;
      }
    }
    // Without a pause while a change is on its way.
    const pending = key && row.reached !== change && performance.now() - change.at < 5000;
    await new Promise((resolve) => { setTimeout(resolve, pending ? 0 : INTERVAL); });
  }
}

async function watchBalancer() {
  let reached = null;
  for (;;) {
    if (key && !(change.last && reached === change)) {
      const asked = change;
      const result = await ask('any');
      if (result.state === asked.expected) reached = asked;
      $('balanced').textContent = `${result.status} from ${result.gate || 'no gate'}, ${result.took.toFixed(0)} ms`;
    }
    await new Promise((resolve) => { setTimeout(resolve, 4 * INTERVAL); });
  }
}

/** Runs an action, and shows its result or its error. */
async function run(action) {
  try {
    $('status').textContent = await action();
  } catch (error) {
    $('status').textContent = `Failed: ${error.message}`;
  }
}

function begin(expected, last = false) {
  change = { expected, at: performance.now(), last };
  for (const row of rows.values()) row.delay.textContent = '';
}

function setButtons(revoked) {
  for (const id of ['disable', 'enable', 'revoke', 'stream']) $(id).disabled = revoked;
}

$('create').addEventListener('click', () => run(async () => {
  const gate = $('create-at').value;
  begin('valid');
  const made = await callAPI(gate, '', { name: 'Demo', source: SOURCE });
  key = { id: made.id, token: made.token };
  setButtons(false);
  return `Gate ${gate} has created ${made.id}.`;
}));

for (const [action, expected, done] of [
  ['disable', 'rejected', 'disabled'], ['enable', 'valid', 'enabled'], ['revoke', 'rejected', 'revoked'],
]) {
  $(action).addEventListener('click', () => run(async () => {
    const gate = $('change-at').value;
    begin(expected, action === 'revoke');
    await callAPI(gate, `/${key.id}/${action}`);
    if (action === 'revoke') setButtons(true);
    return `Gate ${gate} has ${done} ${key.id}.`;
  }));
}

$('stream').addEventListener('click', () => {
  for (const gate of GATES) follow(gate);
});

/** Opens a stream at a gate, and shows how it ends. */
async function follow(gate) {
  const cell = rows.get(gate).stream;
  cell.textContent = 'opening';
  try {
    const response = await fetch(`gate/${gate}/ask/stream`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ question: 'A long answer [[gap=60]]', api_key: key.token }),
    });
    if (!response.ok) {
      cell.textContent = `status ${response.status}`;
      return;
    }
    cell.textContent = 'open';
    const text = await response.text();
    const revoked = text.includes('key_revoked');
    const delay = (performance.now() - change.at).toFixed(0);
    cell.textContent = revoked ? `ended after ${delay} ms: key_revoked` : 'complete';
  } catch {
    cell.textContent = 'no response';
  }
}

for (const gate of GATES) watch(gate);
watchBalancer();
