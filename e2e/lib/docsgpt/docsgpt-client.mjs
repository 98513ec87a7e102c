// A client of DocsGPT's API, for what its web app does: uploading sources, publishing agents, creating access tokens.

import crypto from 'node:crypto';
import { waitFor } from '../wait-for.mjs';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Returns a session token as DocsGPT creates it at a login: a JWT with HS256 and JWT_SECRET_KEY. */
export function signSession(secret, user) {
  const now = Math.floor(Date.now() / 1000);
  const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ sub: user, iat: now, exp: now + 3600 })}`;
  return `${text}.${crypto.createHmac('sha256', secret).update(text).digest('base64url')}`;
}

export class DocsGPTClient {
  #url;
  #session;

  constructor(url, session) {
    this.#url = url;
    this.#session = session;
  }

  /** Calls the API; body is a FormData or is sent as JSON. It fails unless the response is 2xx and JSON. */
  async call(method, path, body) {
    const isForm = body instanceof FormData;
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        Authorization: `Bearer ${this.#session}`,
        ...(body && !isForm ? { 'Content-Type': 'application/json' } : {}),
      },
      body: isForm ? body : body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  /** Waits for the end of a task of the worker, and returns its result. */
  async waitForTask(id) {
    const task = await waitFor('the task has ended', async () => {
      const { status, result } = await this.call('GET', `/api/task_status?task_id=${id}`);
      return ['SUCCESS', 'FAILURE', 'REVOKED'].includes(status) && { status, result };
    }, { deadline: 90_000, every: 200 });
    if (task.status !== 'SUCCESS') throw new Error(`task ${id}: ${JSON.stringify(task)}`);
    return task.result;
  }

  /** Uploads a text as a source, and waits until it can be searched. Returns its id. */
  async createSource(name, text) {
    const form = new FormData();
    form.set('user', 'owner');
    form.set('name', name);
    form.set('file', new Blob([text], { type: 'text/markdown' }), `${name}.md`);
    const { task_id: task, source_id: id } = await this.call('POST', '/api/upload', form);
    await this.waitForTask(task);
    return id;
  }

  /** Publishes an agent with one source. Returns {id, key}. */
  async createAgent(name, source) {
    const { id, key } = await this.call('POST', '/api/create_agent', {
      name, description: `answers from the ${name}`, status: 'published', agent_type: 'classic', source, chunks: 2,
      retriever: 'classic', prompt_id: 'default', tools: [], models: [],
    });
    return { id, key };
  }

  /** Sets the status of an agent: "published" or "draft". */
  setAgentStatus(id, status) {
    return this.call('PUT', `/api/update_agent/${id}`, { status });
  }

  /** Replaces the key of an agent. Returns the new key. */
  async rotateAgentKey(id) {
    return (await this.call('POST', `/api/regenerate_agent_key/${id}`)).key;
  }

  deleteAgent(id) {
    return this.call('DELETE', `/api/delete_agent?id=${id}`);
  }

  /** Returns the entries of the Logs page for finished answers whose passthrough has these values, newest first. */
  async answersInLogs(passthrough) {
    const { logs } = await this.call('POST', '/api/get_user_logs', { event_type: 'chat', page_size: 100, passthrough });
    return logs.filter((entry) => !entry.running);
  }

  /** Creates a personal access token that may chat with these sources only. */
  async createAccessToken(name, sources) {
    const { token } = await this.call('POST', '/api/user/tokens', {
      name, scopes: ['chat:run'], expires_in_days: 1, resource_filter: { sources },
    });
    return token;
  }
}
