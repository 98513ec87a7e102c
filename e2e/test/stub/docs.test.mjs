// The examples of the documentation, run unchanged. lib/doc-snippets.mjs describes the info strings of code blocks.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser } from '../../lib/browser.mjs';
import { REPO, gateBinary } from '../../lib/build.mjs';
import { PROGRAMS, documentation, expectation } from '../../lib/doc-snippets.mjs';
import { makeKeys } from '../../lib/keys.mjs';
import { askOnPage, environment, runProgram, servePages, startExampleGate } from '../../lib/run-snippets.mjs';
import { findSecrets } from '../../lib/secrets.mjs';
import { startStub } from '../../lib/stub.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { widgetProps } from '../../lib/widget-types.mjs';

const DOCS = documentation();
const ALL = DOCS.flatMap(({ blocks }) => blocks);
const at = (block) => `${block.page}:${block.line}`;

/** Returns the Caddyfile of a page, without global options, that its examples run behind. */
const sitesOf = (blocks) => blocks.find((b) => b.language === 'caddyfile' && !b.file && !b.text.startsWith('{'))?.text;

describe('documentation', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-docs-'));
  const keys = makeKeys();
  const closers = [];
  const ran = new Set();
  let program;
  let stub;
  let browser;
  let site;

  before(async () => {
    program = gateBinary();
    stub = await startStub({ dir, ...keys.stub });
    closers.push(() => stub.stop());
    site = await servePages();
    closers.push(() => site.stop());
    browser = await launchBrowser();
    closers.push(() => browser.close());
  });
  after(async () => {
    for (const closer of closers.reverse()) await closer();
    const found = findSecrets(dir, keys.secrets);
    fs.rmSync(dir, { recursive: true, force: true });
    assert.deepEqual(found, [], 'a key or token was written to a log or a file');
  });

  for (const { page, blocks } of DOCS) {
    const examples = blocks.filter((b) => b.run);
    if (examples.length === 0) continue;
    describe(page, () => {
      let gate;
      before(async () => {
        const sites = sitesOf(blocks);
        assert.ok(sites, `${page} has examples, but no Caddyfile`);
        gate = await startExampleGate({
          program, dir: path.join(dir, path.basename(page, '.md')), sites, upstream: stub.address, keys,
        });
      });
      after(() => gate?.stop());

      for (const example of examples) {
        test(`${example.language} ${example.run}`, async () => {
          ran.add(at(example));
          await stub.reset();
          const text = gate.withAddresses(example.text).replaceAll('YOUR_KEY', keys.tokens[example.key ?? 'agent']);
          const output = example.language === 'html'
            ? await askOnPage(browser, site.add(text), text)
            : await runProgram(example.language, text);

          const wanted = blocks.filter((b) => b.expect === example.run);
          assert.ok(wanted.length > 0, `${at(example)} has no block with expect=${example.run}`);
          for (const block of wanted) {
            assert.match(output, expectation(block.text),
              `${at(block)} differs from the output\n${output}\nthe gate:\n${gate.output().slice(-1500)}`);
          }
          assert.doesNotMatch(output, /payroll/, 'it reached another source');
          const live = example.allows ?? ''; // the privileged fields that this example is about
          for (const [, names] of output.matchAll(/live=([a-z_,]+)/g)) assert.equal(names, live, output);
        });
      }
    });
  }

  test('every program on a page in docs/clients has a run attribute, and ran', () => {
    const programs = ALL.filter((b) => b.run || (b.page.startsWith('docs/clients/') && PROGRAMS.includes(b.language)));
    assert.ok(programs.length > 0);
    assert.deepEqual(programs.map(at).filter((where) => !ran.has(where)), []);
    for (const block of ALL.filter((b) => b.run)) assert.ok(PROGRAMS.includes(block.language), `${at(block)}: nothing runs ${block.language}`);
  });

  test('names of examples are unique, and every expect block has an example', () => {
    for (const { page, blocks } of DOCS) {
      const names = blocks.filter((b) => b.run).map((b) => b.run);
      assert.equal(new Set(names).size, names.length, `${page}: ${names}`);
      for (const block of blocks.filter((b) => b.expect)) assert.ok(names.includes(block.expect), `${at(block)}: no run=${block.expect}`);
    }
  });

  for (const block of ALL.filter((b) => b.language === 'caddyfile')) {
    test(`${at(block)} is a Caddyfile`, () => {
      const file = path.join(dir, 'Caddyfile.example');
      // Some pages show options of docsgate without the enclosing block.
      fs.writeFileSync(file, block.text.startsWith('feed ') ? `{\n\tdocsgate {\n${block.text}\t}\n}\n` : block.text);
      docsgate('adapt', '--config', file, '--adapter', 'caddyfile');
    });
  }

  for (const block of ALL.filter((b) => b.language === 'yaml' && b.text.startsWith('keys:'))) {
    test(`${at(block)} is a key file`, () => {
      fs.writeFileSync(path.join(dir, 'keys.yaml'), block.text.replaceAll('<the hash>', 'a'.repeat(64)));
      const file = path.join(dir, 'Caddyfile.keys');
      fs.writeFileSync(file, `{
	docsgate {
		feed file keys.yaml
		upstream_token {env.DOCSGPT_TOKEN}
	}
}
:8080 {
	docsgate localhost:7091
}
`);
      docsgate('validate', '--config', file, '--adapter', 'caddyfile');
    });
  }

  for (const block of ALL.filter((b) => b.file)) {
    test(`${at(block)} is a part of ${block.file}`, () => {
      assert.ok(fs.readFileSync(path.join(REPO, block.file), 'utf8').includes(block.text.trimEnd()), block.text);
    });
  }

  for (const block of ALL.filter((b) => b.language === 'jsx')) {
    test(`${at(block)} uses properties of the published component`, () => {
      const [, component, given] = block.text.match(/<(DocsGPTWidget|SearchBar)\b([^>]*)\/>/) ?? [];
      assert.ok(component, 'it contains no component of the widget');
      const known = widgetProps(WIDGET_VERSIONS.at(-1), component);
      const names = [...given.matchAll(/([A-Za-z]+)=/g)].map((found) => found[1]);
      assert.ok(names.includes('apiHost') && names.includes('apiKey'), `it lacks apiHost or apiKey: ${names}`);
      assert.deepEqual(names.filter((name) => !known.includes(name)), [], `known are ${known}`);
    });
  }

  test('links between pages have an existing target', () => {
    const broken = [];
    for (const { page } of DOCS) {
      const text = fs.readFileSync(path.join(REPO, page), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
      for (const [, target] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        if (!fs.existsSync(path.join(REPO, path.dirname(page), target))) broken.push(`${page}: ${target}`);
      }
    }
    assert.deepEqual(broken, []);
  });

  /** Runs docsgate to its end. If it fails, the error contains its stderr. */
  function docsgate(...args) {
    try {
      execFileSync(program, args, { cwd: dir, env: environment(dir, keys), stdio: 'pipe' });
    } catch (error) {
      throw new Error(`docsgate ${args[0]}:\n${error.stderr}`);
    }
  }
});
