<?php
// SPDX-License-Identifier: Apache-2.0
// send.php PATH [COUNT=10]: sends messages to recv.php, or to that of another language.
[, $path] = $argv;
$count = (int) ($argv[2] ?? 10);
$options = new Tachyon\Options();
$options->timeout = 10; // seconds to keep trying: recv may start later
$bus = new Tachyon\Bus();
$bus->connect($path, $options);
for ($i = 0; $i < $count; $i++) {
    $bus->send("tick $i", 1);
}
$bus->close(); // everything sent still arrives
echo "sent $count\n";
