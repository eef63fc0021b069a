# SPDX-License-Identifier: Apache-2.0
# What a caller may get wrong dies, and never ends the process.
use strict;
use warnings;
no warnings qw(uninitialized numeric portable);
use Tachyon;

my $path = "\@tachyon-perl-guards-$$";
my $HUGE = 2**63 - 1;

sub pair {
    my ($a, $b) = map { Tachyon::Bus->new } 1 .. 2;
    $a->listen_start($_[0], 4096);
    $b->connect_start($_[0]);
    1 while $a->open_step + $b->open_step < 2;
    return ($a, $b);
}
sub check { $_[0] or die "line " . (caller)[2] . ": $_[1]\n" }

my ($a, $b) = pair($path);
my ($unopened, $closed, $rpc) = (Tachyon::Bus->new, Tachyon::Bus->new, Tachyon::RpcBus->new);
my $options = Tachyon::Options->new;
$closed->close for 1 .. 2;
$a->send('warm', 1);
check($b->recv eq 'warm');

# [object, method, [arguments], the error's code; 0: a plain string]
my @cases = (
    [$closed, 'listen', [$path, 4096], 16], [$closed, 'connect', [$path], 16],
    [$a, 'listen', [$path, 4096], 18], [$a, 'connect', [$path], 18],
    [$unopened, 'listen', [$path, 5000], 8], [$unopened, 'listen', [$path, $HUGE], 8],
    [$unopened, 'listen', ['', 4096], 8], [$unopened, 'connect', ["$path-nobody"], 11],
    [$unopened, 'connect', ["a\0b"], 8], [$unopened, 'listen', ["a\0b", 4096], 8],
    [$options, 'set_types', ["a\0b"], 8], [$options, 'set_name', ["a\0"], 8],
    [$options, 'set_types', [{}], 0], [$a, 'send', ['x', 1, 'nan' + 0], 8],
    [$unopened, 'connect', ['x' x 200], 8], [$unopened, 'listen', [$path, -1], 0],
    [$unopened, 'listen', [$path, 'big'], 0], [$unopened, 'listen', [$path, {}], 0],
    [$unopened, 'listen', [$path, 4096, $a], 0], [$unopened, 'connect', [$path, 5], 0],
    [$unopened, 'connect', [], 0],
    [$a, 'send', ['x' x 5000, 1, 0], 8], [$a, 'send', [], 0], [$a, 'send', [undef], 0],
    [$a, 'send', ['x', -1], 0], [$a, 'send', ['x', 2**32], 0],
    [$a, 'send', ['x', 'one'], 0], [$a, 'send', ['x', 1, 'soon'], 0],
    [$a, 'send', ['x', 1, 0, 0], 0], [$a, 'send', ["\x{263a}"], 0],
    [$a, 'send_batch', ['xxx', 2], 8], [$a, 'send_batch', ['xx', 0], 8],
    [$a, 'send_batch', ['xx', -1], 0],
    [$b, 'recv', [0], 10], [$b, 'recv', [0.01], 17], [$b, 'recv', ['nan' + 0], 8],
    [$b, 'recv', [[]], 0], [$b, 'recv', ['soon'], 0],
    [$b, 'recv_batch', [0], 8], [$b, 'recv_batch', [$HUGE, $HUGE], 8],
    [$b, 'recv_batch', [8, 0], 8], [$b, 'recv_batch', [-1], 0], [$b, 'take', [-1], 0],
    [$a, 'reserve', [$HUGE, 0], 8], [$a, 'commit', [1], 10], [$b, 'release', [5], 10],
    [$b, 'send', ['x'], 18], [$a, 'set_numa_node', [-1], 8],
    [$a, 'set_numa_node', [2**40], 0],
);
for my $bus ($closed, $unopened) {
    push @cases, map { [$bus, @$_, 16] } ['send', ['x']], ['recv', []],
        ['send_batch', ['xx', 1]], ['recv_batch', [1]], ['flush', []], ['reserve', [1]],
        ['commit', [1]], ['rollback', []], ['acquire', []], ['take', []], ['release', []],
        ['stats', []], ['peer', []], ['fileno', []], ['max_payload', []],
        ['set_numa_node', [0]], ['set_polling_mode', [1]], ['open_step', []];
}
push @cases, map { [$rpc, @$_, 16] } ['call', ['x']], ['wait_for', []], ['serve', []],
    ['reply', [1, 'x']], ['cancel', [1]], ['stats', []], ['peer', []], ['fileno', []];
my $number = 0;
for (@cases) {
    my ($object, $method, $arguments, $code) = @$_;
    my $what = $number++ . ": $method(@$arguments)";
    check(!eval { $object->$method(@$arguments); 1 }, "$what did not fail");
    my $error = $@;
    if ($code) {
        check(ref $error eq 'Tachyon::Error', "$what: $error");
        check($error->code == $code, "$what: " . $error->name . " $error");
        check($error->name eq Tachyon::error_name($code) && $error =~ /^\Q${\$error->message}/);
        check("$error" =~ / at .* line \d+\.$/, $error);
    } else {
        check(!ref $error && $error, $what);
    }
}

# A method without its object, with another's, and with one that is gone.
for my $object (1, 'x', {}, [], undef, Tachyon::Options->new, $rpc, *STDOUT{IO}) {
    check(!eval { Tachyon::Bus::recv($object, 0); 1 });
}
my $gone = Tachyon::Bus->new;
$gone->DESTROY;
check(!eval { $gone->recv(0); 1 } && $@->code == $Tachyon::ERR_CLOSED, $@);
$gone->DESTROY;
check(!eval { $a->{error} = 1 } && !eval { $a->{nonsense} = 1; $a->{nonsense} });

# Every byte, and every bit of an integer.
my $all = pack('C*', 0 .. 255) . "\0";
$a->send($all, 2**32 - 1);
check($b->recv eq $all && $b->type_id == 2**32 - 1 && $b->{type_id} == 2**32 - 1);
$a->send('');
check($b->recv eq '');
for my $schema (18446744073709551615, 9223372036854775808, 9007199254740993) {
    $options->{schema} = $schema;
    check($options->{schema} == $schema && "$options->{schema}" eq "$schema", $schema);
}

# Destroyed in any order, with a message that waits.
for my $round (1 .. 20) {
    my ($c, $d) = pair("$path-$round");
    $c->send('x');
    if ($round % 2) { undef $c; check($d->recv eq 'x') } else { undef $d; undef $c }
}
