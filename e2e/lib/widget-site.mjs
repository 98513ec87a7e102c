// A documentation page that embeds the widgets, served from another origin than the gate.

import http from 'node:http';
import { LOOPBACK } from './net.mjs';
import { WIDGET_VERSIONS, widgetBundle } from './widget-packages.mjs';

const PAGE = (version) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Device manual</title>
<link rel="icon" href="data:,">
<style>
  body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: #24292f; background: #fff }
  header { padding: 12px 28px; background: #f3f4f6; border-bottom: 1px solid #dfe2e6; font-weight: 600 }
  main { max-width: calc(100vw - 440px); padding: 4px 28px }
  h1 { font-size: 24px } h2 { font-size: 18px }
  code { background: #f3f4f6; padding: 2px 5px; border-radius: 4px }
</style>
</head>
<body>
<header>Device manual</header>
<main>
<h1>Getting started</h1>
<p>Hold the button on the back for five seconds until the light turns green.</p>
<h2>Resetting</h2>
<p>Run <code>device reset</code> and wait for the light. Your settings are kept.</p>
</main>
<div id="app"></div>
${version ? `<script type="module" src="/widget/${version}.js"></script>` : ''}
</body>
</html>
`;

/** Serves the page, by default on a free port. page(version) returns its address with that widget, page() without one. */
export async function serveSite({ port = 0 } = {}) {
  const bundles = new Map(WIDGET_VERSIONS.map((version) => [`/widget/${version}.js`, widgetBundle(version)]));
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, `http://${LOOPBACK}`);
    if (bundles.has(url.pathname)) {
      response.writeHead(200, { 'Content-Type': 'text/javascript; charset=utf-8' });
      response.end(bundles.get(url.pathname));
    } else if (url.pathname === '/') {
      const version = url.searchParams.get('widget');
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
      response.end(PAGE(WIDGET_VERSIONS.includes(version) ? version : ''));
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, LOOPBACK, resolve);
  });
  const origin = `http://${LOOPBACK}:${server.address().port}`;
  return {
    origin,
    page: (version) => `${origin}/${version ? `?widget=${version}` : ''}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
