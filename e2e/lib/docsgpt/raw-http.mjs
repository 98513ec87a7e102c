// HTTP requests with any path and any bytes, which fetch would normalize or reject.

import http from 'node:http';

const DEADLINE_MS = 60_000;

/**
 * Sends a request and reads the whole response.
 *
 * @param {string} base address of the server
 * @param {{method?: string, path: string, headers?: object, json?: any, body?: string|Buffer, chunked?: boolean}} request
 *   path is sent unchanged; json is sent as application/json unless headers has another type; chunked omits the length
 * @returns {Promise<{status: number, headers: object, text: string}>}
 */
export function sendRaw(base, { method = 'POST', path, headers = {}, json, body, chunked }) {
  const bytes = Buffer.from(json === undefined ? body ?? '' : JSON.stringify(json));
  const { hostname, port } = new URL(base);
  let length = { 'Content-Length': bytes.length };
  if (chunked) length = { 'Transfer-Encoding': 'chunked' };
  else if (bytes.length === 0 && method === 'GET') length = {};
  return new Promise((resolve, reject) => {
    const request = http.request({
      hostname, port, method, path, agent: false,
      headers: {
        ...(json === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...length,
        ...headers,
      },
    });
    const timer = setTimeout(() => request.destroy(new Error(`timeout: ${method} ${path}`)), DEADLINE_MS);
    request.once('error', (error) => { clearTimeout(timer); reject(error); });
    request.once('response', async (response) => {
      const chunks = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
        resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      } finally {
        clearTimeout(timer);
      }
    });
    request.end(bytes);
  });
}

/** Encodes a form with text fields and files. Returns {headers, body} for sendRaw. A file is {name, text}. */
export function multipartForm(fields) {
  const boundary = 'boundary-of-the-tests';
  const parts = Object.entries(fields).map(([name, value]) => {
    const file = typeof value === 'string' ? '' : `; filename="${value.name}"\r\nContent-Type: text/plain`;
    return `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value.text ?? value}\r\n`;
  });
  return {
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    body: `${parts.join('')}--${boundary}--\r\n`,
  };
}

/** Returns the JSON of a response, or undefined. */
export function parseJSON({ text }) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the data of all server-sent events of a response: decoded if it is JSON, otherwise as text. */
export function parseEvents({ text }) {
  return text.split(/\r?\n\r?\n/).map((block) => block.split(/\r?\n/).filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trim()).join('\n')).filter(Boolean).map((data) => parseJSON({ text: data }) ?? data);
}
