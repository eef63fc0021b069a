<?php
// SPDX-License-Identifier: Apache-2.0
// Handlers run while a call waits: one that throws ends it, one that returns does not.
use Tachyon\Bus;
use const Tachyon\ERR_TIMEOUT;

function check(bool $right, string $what = ''): void
{
    if (!$right) {
        throw new LogicException($what);
    }
}

/** The class and the code of what a call throws. */
function caught(callable $call): array
{
    try {
        $call();
    } catch (Throwable $e) {
        return [$e::class, $e->getCode()];
    }
    return [];
}

function signals(float $first, float $each = 0, int $count = 1): void
{
    $pid = getmypid();
    exec("(sleep $first; for i in \$(seq $count); do kill -USR1 $pid; sleep $each; done)"
        . ' > /dev/null 2>&1 &');
}

if (!extension_loaded('pcntl')) {
    echo "skipped: PHP without pcntl\n";
    exit(77);
}
pcntl_async_signals(true);
$path = '@tachyon-php-signals-' . getmypid();
[$a, $b] = [new Bus(), new Bus()];
$a->listen_start($path, 4096);
$b->connect_start($path);
while ($a->open_step() + $b->open_step() < 2) {
}
$a->send('x');
check($b->recv() === 'x');
$late = [Tachyon\Error::class, ERR_TIMEOUT];

pcntl_signal(SIGUSR1, fn() => throw new DomainException('from a handler', 5));
signals(0.3);
check(caught(fn() => $b->recv()) === [DomainException::class, 5]);
check(caught(fn() => $b->recv(0.05)) === $late);
signals(0.3);
check(caught(fn() => (new Bus())->listen("$path-nobody", 4096)) === [DomainException::class, 5]);

$seen = 0;
pcntl_signal(SIGUSR1, function () use (&$seen, $a) {
    if (++$seen === 8) {
        $a->send('late'); // the other end, meanwhile
    }
});
signals(0.1, 0.05, 5);
$start = microtime(true);
check(caught(fn() => $b->recv(0.6)) === $late);
$taken = microtime(true) - $start;
check($seen >= 3 && $taken >= 0.6 && $taken < 2, "$seen signals in $taken s");
$seen = 0;
signals(0.1, 0.05, 10);
check($b->recv(10.0) === 'late');

// A handler that exits, while a call waits, ends the program in order.
$child = pcntl_fork();
if (!$child) {
    pcntl_signal(SIGUSR1, fn() => exit(7));
    signals(0.3);
    (new Bus())->listen("$path-child", 4096);
}
pcntl_waitpid($child, $status);
check(pcntl_wifexited($status) && pcntl_wexitstatus($status) === 7, "status $status");
