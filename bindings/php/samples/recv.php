<?php
// SPDX-License-Identifier: Apache-2.0
// recv.php PATH: prints the messages of send.php, or of that of another language.
$bus = new Tachyon\Bus();
$bus->listen($argv[1], 65536);
$received = 0;
try {
    while (true) {
        $data = $bus->recv();
        $received++;
        echo "type $bus->type_id: $data\n";
    }
} catch (Tachyon\Error $e) {
    if ($e->getCode() !== Tachyon\ERR_CLOSED) { // the end of the stream
        throw $e;
    }
}
echo "received $received\n";
