<?php
// SPDX-License-Identifier: Apache-2.0
// rpc_server.php PATH: answers each request with its text in upper case.
$rpc = new Tachyon\RpcBus();
$rpc->listen($argv[1], 65536, 65536); // one ring for requests, one for replies
$served = 0;
try {
    while (true) {
        $request = $rpc->serve();
        $rpc->reply($rpc->id, strtoupper($request), $rpc->type_id);
        $served++;
    }
} catch (Tachyon\Error $e) {
    if ($e->getCode() !== Tachyon\ERR_CLOSED) { // the client has finished
        throw $e;
    }
}
echo "served $served\n";
