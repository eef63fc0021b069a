// SPDX-License-Identifier: Apache-2.0
// recv PATH: prints each message until the end of the stream.
'use strict';
const { Bus } = require('@tachyon-ipc/core');

async function main(path) {
  const bus = await Bus.listenAsync(path, 65536);
  let received = 0;
  for await (const { data, typeId } of bus) {
    console.log(`type ${typeId}: ${data}`);
    received++;
  }
  bus.close();
  console.log(`received ${received}`);
}

main(...process.argv.slice(2));
