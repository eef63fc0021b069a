<?php
// SPDX-License-Identifier: Apache-2.0
// The peer program; tests/interop/README.md says what it does.
use Tachyon\Bus;
use Tachyon\Error;
use Tachyon\RpcBus;

[, $operation, $path] = $argv;
$key = [
    'end' => 'connect', 'open' => 20, 'capacity' => 65536, 'schema' => 0, 'role' => 0,
    'wait' => 20, 'count' => 1, 'size' => '32', 'how' => 'single', 'seed' => 0,
    'finish' => 'close', 'outstanding' => 1, 'order' => 'in', 'cancel' => 0,
    'types' => '', 'required' => 0,
];
foreach (array_slice($argv, 3) as $word) {
    [$name, $value] = explode('=', $word, 2);
    if (!isset($key[$name])) {
        exit(2);
    }
    $key[$name] = is_numeric($value) && $name !== 'size' ? $value + 0 : $value;
}
define('TICKS', in_array($operation, ['produce', 'consume']));
define('BATCH', $key['how'] === 'batch' ? (TICKS ? 1000 : 100) : 0);
define('SIZES', TICKS ? [32] : array_map('intval', explode(',', $key['size'])));
// Every message is a piece of the same bytes: 7 * 183 is 1 modulo 256.
$cycle = implode(array_map(fn($j) => chr(7 * $j & 255), range(0, 255)));
define('BYTES', str_repeat($cycle, intdiv(max(SIZES), 256) + 2));

function size_of(int $i): int
{
    return SIZES[(BATCH ? intdiv($i, 100) : $i) % count(SIZES)];
}

function type_of(int $i): int
{
    return TICKS ? 7 : (BATCH ? 1 : $i % 7 + 1);
}

function message(int $i): string
{
    return TICKS ? pack('a8dLLQ', 'TCHY', 100 + $i * 0.25, $i % 1000, 0, $i)
        : substr(BYTES, (31 * $i + $GLOBALS['key']['seed']) * 183 & 255, size_of($i));
}

function say(string ...$lines): void
{
    echo implode("\n", $lines), "\n";
}

function stop(string $line): never
{
    say($line);
    exit(1);
}

/** The error's code, or null; its text is in $why. */
function failure(callable $call): ?int
{
    global $why;
    try {
        $call();
        return null;
    } catch (Error $e) {
        $why = $e->getMessage();
        return $e->getCode();
    }
}

function finish(Bus|RpcBus $bus): void
{
    match ($GLOBALS['key']['finish']) {
        'kill' => posix_kill(getmypid(), 9),
        'leave' => null,
        'close' => $bus->close(),
        'abort' => $bus->abort(),
    };
}

/** What comes next, and the error's code. */
function send(Bus $bus, int $i, int $count, float $wait): array
{
    $code = failure(function () use ($bus, &$i, $count, $wait) {
        while ($i < $count) {
            if (BATCH) {
                $items = array_map('message', range($i, min($i - $i % BATCH + BATCH, $count) - 1));
                $i += $bus->send_batch(implode($items), size_of($i), type_of($i), $wait);
            } else {
                $bus->send(message($i), type_of($i), $wait);
                $i++;
            }
        }
    });
    return [$i, $code];
}

function receive(Bus $bus, int $i): string
{
    $wait = $GLOBALS['key']['wait'];
    return BATCH ? $bus->recv_batch(size_of($i), BATCH - $i % BATCH, $wait) : $bus->recv($wait);
}

function report(int $count, int $qty, float $price, float $ns): void
{
    printf("count %d qty %d price %.2f ns %.1f\n", $count, $qty, $price, $ns / $count);
}

function asking(Bus|RpcBus $bus, callable $ask): void
{
    ['count' => $count, 'wait' => $wait] = $GLOBALS['key'];
    $data = message(0);
    $last = null;
    for ($i = 0; $i < $count; $i++) {
        $last = $ask($data, $wait);
    }
    if ($last !== $data) {
        stop('wrong ' . $count - 1);
    }
    say("answered $count");
    $bus->close();
}

$run = [
    'open' => function (Bus $bus) {
        say('opened');
        finish($bus);
    },
    'send' => function (Bus $bus) use ($key) {
        [$sent, $code] = send($bus, 0, $key['count'], $key['wait']);
        failure(fn() => $bus->flush());
        say("sent $sent", ...($code ? ["error $code"] : []));
        finish($bus);
    },
    'recv' => function (Bus $bus) {
        $i = 0;
        $code = failure(function () use ($bus, &$i) {
            while (true) {
                $data = receive($bus, $i);
                foreach (BATCH ? str_split($data, size_of($i)) : [$data] as $item) {
                    if ($item !== message($i) || $bus->type_id !== type_of($i)) {
                        stop("wrong $i");
                    }
                    $i++;
                }
            }
        });
        say("received $i", "error $code");
        $bus->close();
    },
    'fill' => function (Bus $bus) use ($key) {
        [$sent, $full] = send($bus, 0, PHP_INT_MAX, 0);
        [, $late] = send($bus, $sent, $sent + 1, $key['wait']);
        say("sent $sent", "error $full", "error $late");
        $bus->flush();
        finish($bus);
    },
    'drain' => function (Bus $bus) use ($key) {
        say('ready');
        foreach ([0, $key['wait']] as $wait) {
            say('error ' . failure(fn() => $bus->recv($wait)));
        }
        $bus->close();
    },
    'hold' => function () {
        say('ready');
        sleep(1000);
    },
    'misuse' => function (Bus $bus) {
        $bus->close();
        $bus->close();
        foreach ([$bus, new Bus()] as $object) {
            say('error ' . failure(fn() => $object->send('x')));
            say('error ' . failure(fn() => $object->recv()));
            failure(fn() => $object->flush());
        }
    },
    'serve' => function (RpcBus $rpc) use ($key) {
        $served = 0;
        $code = failure(function () use ($rpc, $key, &$served) {
            while (true) {
                $requests = [];
                while (count($requests) < $key['outstanding']) {
                    $data = strrev($rpc->serve($key['wait']));
                    $requests[] = [$rpc->id, $data, $rpc->type_id + 1, $key['wait']];
                }
                foreach ($key['order'] === 'in' ? $requests : array_reverse($requests) as $request) {
                    $rpc->reply(...$request);
                    $served++;
                }
            }
        });
        say("served $served", "error $code");
        $rpc->close();
    },
    'call' => function (RpcBus $rpc) use ($key) {
        $answered = $cancelled = 0;
        $code = failure(function () use ($rpc, $key, &$answered, &$cancelled) {
            for ($next = 0; $next < $key['count']; $next += count($ids)) {
                $ids = [];
                for ($i = $next; $i < min($next + $key['outstanding'], $key['count']); $i++) {
                    $ids[$i] = $rpc->call(message($i), type_of($i), $key['wait']);
                }
                foreach ($ids as $i => $id) {
                    if ($key['cancel'] && ($i + 1) % $key['cancel'] === 0) {
                        $rpc->cancel($id);
                        $cancelled++;
                        continue;
                    }
                    $reply = $rpc->wait_for($id, $key['wait']);
                    if ($reply !== strrev(message($i)) || $rpc->type_id !== type_of($i) + 1) {
                        stop("wrong $i");
                    }
                    $answered++;
                }
            }
        });
        say("answered $answered", $code ? "error $code" : "cancelled $cancelled");
        finish($rpc);
    },
    'produce' => function (Bus $bus) use ($key) {
        $start = hrtime(true);
        if (BATCH) {
            [, $code] = send($bus, 0, $key['count'], $key['wait']);
        } else { // as a program would
            ['count' => $count, 'wait' => $wait] = $key;
            $code = failure(function () use ($bus, $count, $wait) {
                for ($i = 0; $i < $count; $i++) {
                    $bus->send(pack('a8dLLQ', 'TCHY', 100 + $i * 0.25, $i % 1000, 0, $i), 7, $wait);
                }
            });
        }
        if ($code) {
            stop("error $code");
        }
        $bus->flush();
        $ns = hrtime(true) - $start;
        $qty = $price = 0;
        for ($i = 0; $i < $key['count']; $i++) {
            $qty += $i % 1000;
            $price += 100 + $i * 0.25;
        }
        report($key['count'], $qty, $price, $ns);
        $bus->close();
    },
    'consume' => function (Bus $bus) {
        $count = $qty = $price = 0;
        $start = null;
        $code = failure(function () use ($bus, &$count, &$qty, &$price, &$start) {
            while (true) {
                $data = receive($bus, $count);
                $start ??= hrtime(true);
                for ($at = 0; $at < strlen($data); $at += 32) {
                    $tick = unpack('a8symbol/dprice/Lqty/Lpad/Qts', $data, $at);
                    if ($tick['symbol'] !== "TCHY\0\0\0\0" || $tick['pad'] || $tick['ts'] !== $count) {
                        stop("wrong $count");
                    }
                    $count++;
                    $qty += $tick['qty'];
                    $price += $tick['price'];
                }
            }
        });
        $ns = hrtime(true) - $start;
        if ($code !== Tachyon\ERR_CLOSED) {
            stop("error $code");
        }
        report($count, $qty, $price, $ns);
        $bus->close();
    },
    'ping' => function (Bus $bus, Tachyon\Options $options) use ($path) {
        $back = new Bus();
        $back->connect("$path-back", $options);
        asking($bus, function (string $data, float $wait) use ($bus, $back) {
            $bus->send($data, 1, $wait);
            return $back->recv($wait);
        });
    },
    'ask' => function (RpcBus $rpc) {
        asking($rpc, fn($data, $wait) => $rpc->wait_for($rpc->call($data, 1, $wait), $wait));
    },
];

$rpc = in_array($operation, ['serve', 'call', 'ask']);
$bus = $rpc ? new RpcBus() : new Bus();
$options = new Tachyon\Options();
[$options->timeout, $options->schema, $options->role] = [$key['open'], $key['schema'], $key['role']];
$options->types_required = $key['required'];
if ($key['types'] !== '') {
    $options->set_types($key['types']);
}
$meets = $operation === 'meet';
if ($meets) {
    say('ready');
}
$listens = $operation === 'serve' || !$rpc && $key['end'] === 'listen';
$capacities = array_fill(0, $rpc ? 2 : 1, $key['capacity']);
$code = failure(fn() => $listens ? $bus->listen($path, ...$capacities, ...[$options])
    : $bus->connect($path, $options));
if ($code) {
    say("error $code", ...($meets ? ["why $why"] : []));
} else {
    $run[$meets ? 'open' : $operation]($bus, $options);
}
