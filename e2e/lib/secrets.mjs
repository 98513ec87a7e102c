// The search for secrets in all files of a folder.

import fs from 'node:fs';
import path from 'node:path';

/** Returns the encodings of a secret that the search includes. */
function encodings(secret) {
  const undashed = secret.replaceAll('-', '');
  return [
    secret, undashed, encodeURIComponent(secret), Buffer.from(secret).toString('base64').replace(/=+$/, ''),
    Buffer.from(secret).toString('hex'),
  ];
}

/**
 * Returns where the files below dir contain a secret: a list like 'gate.log: agent key "handbook"'. Programs may use the folder meanwhile:
 * if a file disappears during the search, it may have another name, so the search begins again.
 *
 * @param {string} dir
 * @param {Record<string, string>} secrets by the name for the report
 */
export function findSecrets(dir, secrets) {
  for (let attempts = 20; ; attempts -= 1) {
    try {
      return search(dir, secrets);
    } catch (error) {
      if (error.code !== 'ENOENT' || attempts === 0) throw error;
    }
  }
}

function search(dir, secrets) {
  const found = [];
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    const text = fs.readFileSync(file, 'latin1').toLowerCase();
    for (const [name, secret] of Object.entries(secrets)) {
      if (encodings(secret).some((encoded) => text.includes(encoded.toLowerCase()))) {
        found.push(`${path.relative(dir, file)}: ${name}`);
      }
    }
  }
  return found;
}
