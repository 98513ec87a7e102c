// The search for secrets in everything that was written.

import fs from 'node:fs';
import path from 'node:path';

/** Spellings in which a secret would still be a secret. */
function spellings(secret) {
  const undashed = secret.replaceAll('-', '');
  return [
    secret, undashed, encodeURIComponent(secret), Buffer.from(secret).toString('base64').replace(/=+$/, ''),
    Buffer.from(secret).toString('hex'),
  ];
}

/**
 * Says where in the files below dir a secret stands: a list like 'gate.log: agent key "handbook"', empty when nowhere.
 *
 * @param {string} dir
 * @param {Record<string, string>} secrets by the name that is reported
 */
export function findSecrets(dir, secrets) {
  const found = [];
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    const text = fs.readFileSync(file, 'latin1').toLowerCase();
    for (const [name, secret] of Object.entries(secrets)) {
      if (spellings(secret).some((spelling) => text.includes(spelling.toLowerCase()))) {
        found.push(`${path.relative(dir, file)}: ${name}`);
      }
    }
  }
  return found;
}
