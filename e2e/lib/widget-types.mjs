// The properties of the published widget's components, from the type declarations in its package.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { E2E } from './build.mjs';
import { widgetBundle } from './widget-packages.mjs';

const INTERFACES = { DocsGPTWidget: 'WidgetProps', SearchBar: 'SearchBarProps' };

/** Returns the names of a component's properties in one version. */
export function widgetProps(version, component) {
  widgetBundle(version); // fetches and verifies the package file
  const packed = path.join(E2E, '.cache', 'widgets', `docsgpt-${version}.tgz`);
  const types = execFileSync('tar', ['-xzOf', packed, 'package/dist/types.d.ts']).toString();
  const body = types.match(new RegExp(`interface ${INTERFACES[component]} \\{([\\s\\S]*?)\\n\\}`));
  if (!body) throw new Error(`docsgpt ${version} declares no ${INTERFACES[component]}`);
  return [...body[1].matchAll(/^ {4}(\w+)\??:/gm)].map((found) => found[1]);
}
