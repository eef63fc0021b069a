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

/** Run beside this process, whose id is $pid there; the id of what runs. */
function beside(string $commands): string
{
    return exec('(pid=' . getmypid() . "; $commands) > /dev/null 2>&1 & echo $!");
}

/** Send one as soon as this process, back from the shell, sleeps. */
function signal_asleep(string $name = 'USR1'): void
{
    beside('while [ -d /proc/$$ ]; do sleep 0.05; done;'
        . 'until grep -q ^State:.S /proc/$pid/status; do sleep 0.05; done;'
        . "kill -$name \$pid");
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
signal_asleep();
check(caught(fn() => $b->recv()) === [DomainException::class, 5]);
check(caught(fn() => $b->recv(0.05)) === $late);
signal_asleep();
check(caught(fn() => (new Bus())->listen("$path-nobody", 4096)) === [DomainException::class, 5]);
signal_asleep();
check(caught(fn() => $a->send_batch(str_repeat('.', 10000), 1000)) === [DomainException::class, 5]);
check($a->count > 0 && strlen($b->recv_batch(1000)) === 1000 * $a->count, "$a->count sent");

// They go on for ever: a wait that began anew at each would never end.
[$seen, $last] = [0, 0];
pcntl_signal(SIGUSR1, function () use (&$seen, &$last, $a) {
    if (++$seen === $last) {
        $a->send('late'); // the other end, meanwhile
    }
});
$signalling = beside('while kill -USR1 $pid; do sleep 0.05; done');
do {
    $start = microtime(true);
    check(caught(fn() => $b->recv(0.6)) === $late);
    check(microtime(true) - $start >= 0.6);
} while ($seen < 3);
$last = $seen + 5;
check($b->recv() === 'late');
exec("kill $signalling");

// A handler that exits, while a call waits, ends the program in order.
$child = pcntl_fork();
if (!$child) {
    pcntl_signal(SIGUSR1, fn() => exit(7));
    signal_asleep();
    (new Bus())->listen("$path-child", 4096);
}
pcntl_waitpid($child, $status);
check(pcntl_wifexited($status) && pcntl_wexitstatus($status) === 7, "status $status");

// What set_time_limit() sets off while a call waits is the fatal error that it is elsewhere.
$child = pcntl_fork();
if (!$child) {
    ini_set('display_errors', '0');
    ini_set('log_errors', '0');
    pcntl_alarm(60); // else it would wait for ever
    set_time_limit(1000);
    register_shutdown_function(function () {
        exit(str_starts_with(error_get_last()['message'] ?? '', 'Maximum execution time') ? 8 : 9);
    });
    signal_asleep('PROF');
    (new Bus())->listen("$path-child", 4096);
}
pcntl_waitpid($child, $status);
check(pcntl_wifexited($status) && pcntl_wexitstatus($status) === 8, "status $status");
