// The server of a page with DocsGPT's chat widget. It signs a token for each visitor, so that the page contains no key.
//
//	DOCS_KEY_ID         the ID of the gate's key, which has "visitors: required"
//	DOCS_SIGN_SECRET    the secret for signing of that key
//	GATE_URL            the public address of the gate, such as https://ask.example.com
//	WIDGET              dist/modern/browser.js of the npm package docsgpt 0.5.1 (default docsgpt-0.5.1.js)
//	PORT                the port to listen on, on this machine only (default 8080)
import { createHmac, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const { DOCS_KEY_ID, DOCS_SIGN_SECRET, GATE_URL, WIDGET = 'docsgpt-0.5.1.js', PORT = '8080' } = process.env;
if (!DOCS_KEY_ID || !DOCS_SIGN_SECRET || !GATE_URL) {
  console.error('set DOCS_KEY_ID, DOCS_SIGN_SECRET and GATE_URL');
  process.exit(1);
}

// How long a token is valid. The widget cannot get a new one, so choose it as long as visitors stay on the page.
const SECONDS = 3600;

function signVisitor(visitor) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const text = `${encode({ alg: 'HS256', kid: DOCS_KEY_ID })}.${encode({ sub: visitor, iat: now, exp: now + SECONDS })}`;
  return `${text}.${createHmac('sha256', DOCS_SIGN_SECRET).update(text).digest('base64url')}`;
}

// Visitors are who they are in your application. Here they are browsers, known by a cookie that scripts cannot read. The value is
// checked, since a client can send any.
function visitorOf(request) {
  const found = /(?:^|;\s*)visitor=([0-9a-f-]{36})(?:;|$)/.exec(request.headers.cookie ?? '');
  return found ? found[1] : randomUUID();
}

// A value as JavaScript, in a script of an HTML page.
const inScript = (value) => JSON.stringify(value).replaceAll('<', '\\u003c');

const page = (token) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Documentation</title>
<h1>Documentation</h1>
<div id="app"></div>
<script src="/widget.js" type="module"></script>
<script type="module">
  renderDocsGPTWidget("app", { apiHost: ${inScript(GATE_URL)}, apiKey: ${inScript(token)}, title: "Ask the manual" });
</script>
</html>
`;

const server = createServer(async (request, response) => {
  try {
    if (request.url === '/widget.js') {
      response.writeHead(200, { 'Content-Type': 'text/javascript; charset=utf-8' }).end(await readFile(WIDGET));
    } else if (request.url === '/') {
      const visitor = visitorOf(request);
      response.writeHead(200, {
        'Content-Type': 'text/html; charset=utf-8',
        'Cache-Control': 'no-store', // the page contains a token of this visitor
        'Set-Cookie': `visitor=${visitor}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure`,
      }).end(page(signVisitor(visitor)));
    } else {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found\n');
    }
  } catch (error) {
    console.error(error.message);
    response.writeHead(500, { 'Content-Type': 'text/plain' }).end('internal error\n');
  }
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
