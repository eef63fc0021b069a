// SPDX-License-Identifier: Apache-2.0
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const { join, resolve } = require('node:path');
const core = require('@tachyon-ipc/core');

const modules = process.env.NODE_PATH;
const npm = process.env.TACHYON_NODE_NPM;
const typescript = join(npm, 'typescript/bin/tsc');

function folder(t) {
  const made = fs.mkdtempSync(join(os.tmpdir(), 'tachyon-'));
  t.after(() => fs.rmSync(made, { recursive: true }));
  return made;
}

test('the package is imported by ES modules', (t) => {
  const here = folder(t);
  fs.symlinkSync(modules, join(here, 'node_modules'));
  fs.writeFileSync(
    join(here, 'main.mjs'),
    `
    import core, { ${Object.keys(core).join(', ')} } from '@tachyon-ipc/core';
    const named = { ${Object.keys(core).join(', ')} };
    for (const name in named) if (named[name] !== core[name]) throw new Error(name);
    console.log(Object.keys(named).length);`,
  );
  const out = execFileSync(process.execPath, ['main.mjs'], { cwd: here });
  assert.equal(Number(out), Object.keys(core).length);
});

test('a machine without its module is told so', (t) => {
  const here = folder(t);
  fs.cpSync(join(modules, '@tachyon-ipc/core'), here, { recursive: true });
  fs.rmSync(join(here, 'prebuilds'), { recursive: true });
  assert.throws(
    () => require(here),
    /@tachyon-ipc\/core has no module for linux-[\w-]+ that loads/,
  );
});

test('what is exported is what is typed', () => {
  const types = fs.readFileSync(join(modules, '@tachyon-ipc/core/index.d.ts'), 'utf8');
  const typed = [...types.matchAll(/^export (?:class|const|function) (\w+)/gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(typed.sort(), Object.keys(core).sort());
  for (const [name, value] of Object.entries(core.ErrorCode)) {
    assert.match(types, new RegExp(`readonly ${name}: ${value};`));
  }
  for (const Kind of [
    core.Bus,
    core.RpcBus,
    core.TxGuard,
    core.TxBatch,
    core.RxGuard,
    core.RxBatch,
  ]) {
    for (const where of [Kind, Kind.prototype, Object.getPrototypeOf(Kind.prototype)]) {
      for (const name of Object.getOwnPropertyNames(where)) {
        if (
          /^(constructor|prototype|length|name|end|__|to|has|is|prop|value)/.test(
            name,
          )
        )
          continue;
        assert.match(types, new RegExp(`\\b${name}\\b`), `${Kind.name}.${name}`);
      }
    }
  }
  const { version } = JSON.parse(
    fs.readFileSync(join(modules, '@tachyon-ipc/core/package.json')),
  );
  assert.equal(core.version(), version);
});

test(
  'the types hold under --strict',
  { skip: !fs.existsSync(typescript) && 'no typescript' },
  (t) => {
    const here = folder(t);
    fs.symlinkSync(modules, join(here, 'node_modules'));
    fs.copyFileSync(join(__dirname, 'types.ts'), join(here, 'types.ts'));
    execFileSync(
      process.execPath,
      [
        typescript,
        '--strict',
        '--noEmit',
        '--target',
        'es2022',
        '--lib',
        'es2022,esnext.disposable',
        '--module',
        'node16',
        '--moduleResolution',
        'node16',
        '--typeRoots',
        resolve(npm, '@types'),
        '--types',
        'node',
        'types.ts',
      ],
      { cwd: here, stdio: ['ignore', 'inherit', 'inherit'] },
    );
  },
);
