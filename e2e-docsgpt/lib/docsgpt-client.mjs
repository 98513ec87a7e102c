// What the owner of a DocsGPT does in its web app: upload sources, publish agents, make access tokens. All of it
// through DocsGPT's own API.

import crypto from 'node:crypto';
import { waitFor } from '../../e2e/lib/wait-for.mjs';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A session as DocsGPT makes one at a login: HS256 with JWT_SECRET_KEY. */
export function session(secret, user) {
  const now = Math.floor(Date.now() / 1000);
  const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ sub: user, iat: now, exp: now + 3600 })}`;
  return `${text}.${crypto.createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** The owner, at the API of a DocsGPT. */
export class Owner {
  #api;
  #session;

  constructor(api, token) {
    this.#api = api;
    this.#session = token;
  }

  /** Calls the API; body is a form or what is sent as JSON. Fails unless the answer is 2xx and JSON. */
  async call(method, path, body) {
    const form = body instanceof FormData;
    const response = await fetch(this.#api + path, {
      method,
      headers: {
        Authorization: `Bearer ${this.#session}`,
        ...(body && !form ? { 'Content-Type': 'application/json' } : {}),
      },
      body: form ? body : body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  /** Waits for a job of the worker; gives its result. */
  async done(task) {
    const status = await waitFor('the worker has done its job', async () => {
      const { status: state, result } = await this.call('GET', `/api/task_status?task_id=${task}`);
      return ['SUCCESS', 'FAILURE', 'REVOKED'].includes(state) && { state, result };
    }, { deadline: 90_000, every: 200 });
    if (status.state !== 'SUCCESS') throw new Error(`job ${task}: ${JSON.stringify(status)}`);
    return status.result;
  }

  /** Uploads a text as a source and waits until it can be searched. Gives its id. */
  async source(name, text) {
    const form = new FormData();
    form.set('user', 'owner');
    form.set('name', name);
    form.set('file', new Blob([text], { type: 'text/markdown' }), `${name}.md`);
    const { task_id: task, source_id: id } = await this.call('POST', '/api/upload', form);
    await this.done(task);
    return id;
  }

  /** Publishes an agent that answers from one source. Gives {id, key}. */
  async agent(name, source) {
    const { id, key } = await this.call('POST', '/api/create_agent', {
      name, description: `answers from the ${name}`, status: 'published', agent_type: 'classic', source, chunks: 2,
      retriever: 'classic', prompt_id: 'default', tools: [], models: [],
    });
    return { id, key };
  }

  /** Publishes an agent again, or takes that back. */
  setStatus(id, status) {
    return this.call('PUT', `/api/update_agent/${id}`, { status });
  }

  /** Gives an agent a new key, and returns that. */
  async rotate(id) {
    return (await this.call('POST', `/api/regenerate_agent_key/${id}`)).key;
  }

  /** Deletes an agent. */
  remove(id) {
    return this.call('DELETE', `/api/delete_agent?id=${id}`);
  }

  /** Makes a personal access token that may chat with these sources only. */
  async accessToken(name, sources) {
    const reply = await this.call('POST', '/api/user/tokens', {
      name, scopes: ['chat:run'], expires_in_days: 1, resource_filter: { sources },
    });
    return reply.token;
  }
}
