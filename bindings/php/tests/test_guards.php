<?php
// SPDX-License-Identifier: Apache-2.0
// What a caller may get wrong is an exception, and never the end of the process.
use Tachyon\Bus;
use Tachyon\Options;
use Tachyon\RpcBus;

set_error_handler(fn($level, $text) => throw new ErrorException($text));
$path = '@tachyon-php-guards-' . getmypid();

function pair(string $path): array
{
    [$a, $b] = [new Bus(), new Bus()];
    $a->listen_start($path, 4096);
    $b->connect_start($path);
    while ($a->open_step() + $b->open_step() < 2) {
    }
    return [$a, $b];
}

function check(bool $right, string $what = ''): void
{
    if (!$right) {
        throw new LogicException($what);
    }
}

[$a, $b] = pair($path);
[$unopened, $closed, $rpc] = [new Bus(), new Bus(), new RpcBus()];
$options = new Options();
$options->set_types(null);
$closed->close();
$closed->close();
$a->send('warm', 1);
check($b->recv() === 'warm');

// [object, method, [arguments], the error's code; 0: PHP's own]
$cases = [
    [$closed, 'listen', [$path, 4096], 16], [$closed, 'connect', [$path], 16],
    [$a, 'listen', [$path, 4096], 18], [$a, 'connect', [$path], 18],
    [$unopened, 'listen', [$path, 5000], 8], [$unopened, 'listen', [$path, PHP_INT_MAX], 8],
    [$unopened, 'listen', [$path, -1], 8], [$unopened, 'listen', ['', 4096], 8],
    [$unopened, 'connect', ["$path-nobody"], 11], [$unopened, 'connect', [str_repeat('x', 200)], 8],
    [$options, 'set_types', ["a\0b"], 0], [$options, 'set_name', ["a\0"], 0],
    [$options, 'set_types', [[]], 0],
    [$unopened, 'connect', ["a\0b"], 0], [$unopened, 'listen', [$path, 'big'], 0],
    [$unopened, 'listen', [$path, []], 0], [$unopened, 'listen', [[], 4096], 0],
    [$unopened, 'listen', [$path, 4096, $a], 0], [$unopened, 'connect', [$path, 5], 0],
    [$unopened, 'connect', [], 0], [$unopened, 'listen', [$path, 1e30], 0],
    [$a, 'send', [str_repeat('x', 5000), 1, 0.0], 8], [$a, 'send', [], 0],
    [$a, 'send', [null], 0], [$a, 'send', [[]], 0], [$a, 'send', [$a], 0],
    [$a, 'send', ['x', -1], 0], [$a, 'send', ['x', 2 ** 32], 0], [$a, 'send', ['x', 'one'], 0],
    [$a, 'send', ['x', 1, 'soon'], 0], [$a, 'send', ['x', 1, 0.0, 0], 0],
    [$a, 'send_batch', ['xxx', 2], 8], [$a, 'send_batch', ['xx', 0], 8],
    [$a, 'send_batch', ['xx', -1], 8],
    [$b, 'recv', [0.0], 10], [$b, 'recv', [0.01], 17], [$b, 'recv', [NAN], 8],
    [$b, 'recv', [[]], 0], [$b, 'recv', ['soon'], 0],
    [$b, 'recv_batch', [0], 8], [$b, 'recv_batch', [PHP_INT_MAX, PHP_INT_MAX], 8],
    [$b, 'recv_batch', [8, 0], 8], [$b, 'recv_batch', [-1, -1], 8], [$b, 'take', [-1], 0],
    [$a, 'reserve', [PHP_INT_MAX, 0.0], 8], [$a, 'commit', [1], 10], [$b, 'release', [5], 10],
    [$b, 'send', ['x'], 18], [$a, 'set_numa_node', [-1], 8], [$a, 'set_numa_node', [2 ** 40], 0],
];
foreach ([$closed, $unopened] as $bus) {
    foreach ([
        ['send', ['x']], ['recv', []], ['send_batch', ['xx', 1]], ['recv_batch', [1]],
        ['flush', []], ['reserve', [1]], ['commit', [1]], ['rollback', []], ['acquire', []],
        ['take', []], ['release', []], ['stats', []], ['peer', []], ['fileno', []],
        ['max_payload', []], ['set_numa_node', [0]], ['set_polling_mode', [1]], ['open_step', []],
    ] as $call) {
        $cases[] = [$bus, ...$call, 16];
    }
}
foreach ([
    ['call', ['x']], ['wait_for', []], ['serve', []], ['reply', [1, 'x']], ['cancel', [1]],
    ['stats', []], ['peer', []], ['fileno', []],
] as $call) {
    $cases[] = [$rpc, ...$call, 16];
}
foreach ($cases as $number => [$object, $method, $arguments, $code]) {
    $what = "$number: $method " . @json_encode($arguments, JSON_PARTIAL_OUTPUT_ON_ERROR);
    try {
        $object->$method(...$arguments);
        $caught = null;
    } catch (Throwable $caught) {
    }
    check($caught !== null, "$what did not fail");
    if ($code) {
        check($caught instanceof Tachyon\Error, "$what: $caught");
        check($caught->getCode() === $code, "$what: $caught->name {$caught->getMessage()}");
        check($caught->name === Tachyon\error_name($code) && $caught->getMessage() !== '');
    } else {
        check(!$caught instanceof Tachyon\Error, "$what: $caught");
    }
}

// Objects that nothing has made show nothing, or there are none.
foreach ((new ReflectionExtension('tachyon'))->getClasses() as $name => $class) {
    foreach ([
        fn() => $class->newInstance(), fn() => $class->newInstanceWithoutConstructor(),
        fn() => unserialize(sprintf('O:%d:"%s":0:{}', strlen($name), $name)),
    ] as $make) {
        try {
            $object = @$make();
            foreach ($class->getMethods() as $method) {
                if (str_ends_with($method->name, '_get')) $object->{substr($method->name, 0, -4)};
            }
        } catch (Exception | Error) {
        }
    }
}

// Objects that are copied, not constructed, written to.
foreach ([
    fn() => clone $a, fn() => serialize($a), fn() => unserialize('O:11:"Tachyon\Bus":0:{}')->recv(0.0),
    fn() => (new ReflectionClass(Bus::class))->newInstanceWithoutConstructor()->recv(0.0),
    fn() => $a->error = 1, fn() => $options->time_out = 1.0, fn() => $a->type = 1,
] as $number => $call) {
    try {
        $call();
        check($number < 2, "misuse $number did not fail");
    } catch (LogicException $e) {
        throw $e;
    } catch (Throwable) {
    }
}

// Every byte, and every bit of an integer.
$all = implode(array_map('chr', range(0, 255))) . "\0";
$a->send($all, 2 ** 32 - 1);
check($b->recv() === $all && $b->type_id === 2 ** 32 - 1);
$a->send('');
check($b->recv() === '');
$options = new Options();
foreach ([PHP_INT_MAX, 2 ** 53 + 1] as $schema) {
    $options->schema = $schema;
    check($options->schema === $schema, "schema $schema");
}

// Collected in any order, with a message that waits.
for ($round = 0; $round < 20; $round++) {
    [$c, $d] = pair("$path-$round");
    $c->send('x');
    if ($round % 2) {
        $c = null;
        check($d->recv() === 'x');
    }
    $d = $c = null;
}
