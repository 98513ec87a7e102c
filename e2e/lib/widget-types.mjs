// The properties that the published widget's components have, as the type declarations in its package say.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { E2E } from './build.mjs';
import { widgetBundle } from './bundles.mjs';

const INTERFACES = { DocsGPTWidget: 'WidgetProps', SearchBar: 'SearchBarProps' };

/** Names of the properties of a component in one version. */
export function widgetTypes(version, component) {
  widgetBundle(version); // fetches and checks the package file
  const packed = path.join(E2E, '.cache', 'widgets', `docsgpt-${version}.tgz`);
  const types = execFileSync('tar', ['-xzOf', packed, 'package/dist/types.d.ts']).toString();
  const body = types.match(new RegExp(`interface ${INTERFACES[component]} \\{([\\s\\S]*?)\\n\\}`));
  if (!body) throw new Error(`docsgpt ${version} declares no ${INTERFACES[component]}`);
  return [...body[1].matchAll(/^ {4}(\w+)\??:/gm)].map((found) => found[1]);
}
