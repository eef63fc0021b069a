<?php
// SPDX-License-Identifier: Apache-2.0
// rpc_client.php PATH WORD...: asks rpc_server.php, or that of another language.
$words = array_slice($argv, 2);
$options = new Tachyon\Options();
$options->timeout = 10; // seconds to keep trying: the server may start later
$rpc = new Tachyon\RpcBus();
$rpc->connect($argv[1], $options);
foreach ($words as $word) {
    $id = $rpc->call($word, 1);
    echo "$word -> ", $rpc->wait_for($id), "\n";
}
$rpc->close();
