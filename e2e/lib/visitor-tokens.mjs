// Tokens of signed visitors: from `docsgate keys sign`, and expired ones, which that command does not sign.

import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import { gateBinary } from './build.mjs';

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Returns a new secret for sign_secret. */
export const newSignSecret = () => crypto.randomBytes(32).toString('hex');

/** Runs `docsgate keys sign` with the secret in its standard input, and returns the token. */
export function signVisitor(key, visitor, secret, options = []) {
  return execFileSync(gateBinary(), ['keys', 'sign', key, '--visitor', visitor, '--secret-stdin', ...options], { input: secret }).toString().trim();
}

/** Returns a token with a valid signature that expired ten minutes ago: clocks may differ by a minute. */
export function signExpiredVisitor(key, visitor, secret) {
  const expires = Math.floor(Date.now() / 1000) - 600;
  const text = `${base64url({ alg: 'HS256', kid: key })}.${base64url({ sub: visitor, iat: expires - 600, exp: expires })}`;
  return `${text}.${crypto.createHmac('sha256', secret).update(text).digest('base64url')}`;
}
