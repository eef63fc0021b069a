# SPDX-License-Identifier: Apache-2.0
# The peer program; tests/interop/README.md says what it does.
use strict;
use warnings;
use List::Util qw(max min);
use Tachyon;
use Time::HiRes 'time';

$| = 1;
my ($operation, $path, @words) = @ARGV;
my %key = (
    end => 'connect', open => 20, capacity => 65536, schema => 0, role => 0, wait => 20,
    count => 1, size => 32, how => 'single', seed => 0, finish => 'close',
    outstanding => 1, order => 'in', cancel => 0, types => '', required => 0
);
for (@words) {
    /^(\w+)=(.*)$/s && exists $key{$1} or exit 2;
    $key{$1} = $2;
}
my $ticks = $operation =~ /^(produce|consume)$/;
my $batch = $key{how} eq 'batch' && ($ticks ? 1000 : 100);
my @sizes = $ticks ? 32 : split /,/, $key{size};
my $TICK = 'a8dLLQ';
# Every message is a piece of the same bytes: 7 * 183 is 1 modulo 256.
my $bytes = pack('C*', map { 7 * $_ & 255 } 0 .. 255) x (max(@sizes) / 256 + 2);
sub size_of { $sizes[($batch ? $_[0] / 100 : $_[0]) % @sizes] }
sub type_of { $ticks ? 7 : $batch ? 1 : $_[0] % 7 + 1 }

sub message {
    my $i = shift;
    return pack $TICK, 'TCHY', 100 + $i * 0.25, $i % 1000, 0, $i if $ticks;
    return substr $bytes, (31 * $i + $key{seed}) * 183 & 255, size_of($i);
}
sub say_lines { print map { "$_\n" } @_ }
sub stop { say_lines(@_); exit 1 }

my $why;

sub failure(&) {    # of the block: the error's code
    eval { $_[0]->(); 1 } and return;
    die $@ unless ref $@;
    $why = $@->message;
    return $@->code;
}

sub finish {
    my ($bus, $method) = ($_[0], $key{finish});
    kill KILL => $$ if $method eq 'kill';
    $bus->$method unless $method eq 'leave';
}

sub send_from {     # what comes next, and the error's code
    my ($bus, $i, $count, $wait) = @_;
    my $code = failure {
        while ($i < $count) {
            if ($batch) {
                my $items = join '', map { message($_) } $i .. min($i - $i % $batch + $batch, $count) - 1;
                $i += $bus->send_batch($items, size_of($i), type_of($i), $wait);
            } else {
                $bus->send(message($i), type_of($i), $wait);
                $i++;
            }
        }
    };
    return ($i, $code);
}

sub receive {
    my ($bus, $i) = @_;
    return $bus->recv($key{wait}) unless $batch;
    return $bus->recv_batch(size_of($i), $batch - $i % $batch, $key{wait});
}

sub report {
    my ($count, $qty, $price, $seconds) = @_;
    printf "count %d qty %d price %.2f ns %.1f\n", $count, $qty, $price, $seconds / $count * 1e9;
}

sub answered {
    my ($bus, $last) = @_;
    stop('wrong ' . ($key{count} - 1)) unless $last eq message(0);
    say_lines("answered $key{count}");
    $bus->close;
}

my %run = (
    open => sub { say_lines('opened'); finish($_[0]) },
    send => sub {
        my $bus = shift;
        my ($sent, $code) = send_from($bus, 0, $key{count}, $key{wait});
        failure { $bus->flush };
        say_lines("sent $sent", $code ? "error $code" : ());
        finish($bus);
    },
    recv => sub {
        my ($bus, $i) = ($_[0], 0);
        my $code = failure {
            while (1) {
                my $data = receive($bus, $i);
                my $size = $batch ? size_of($i) : length $data;
                for (my $at = 0; $at <= length($data) - $size; $at += max($size, 1)) {
                    my $good = substr($data, $at, $size) eq message($i);
                    stop("wrong $i") unless $good && $bus->type_id == type_of($i);
                    $i++;
                }
            }
        };
        say_lines("received $i", "error $code");
        $bus->close;
    },
    fill => sub {
        my $bus = shift;
        my ($sent, $full) = send_from($bus, 0, 9**9**9, 0);
        say_lines("sent $sent", "error $full");
        my (undef, $late) = send_from($bus, $sent, $sent + 1, $key{wait});
        say_lines("error $late");
        $bus->flush;
        finish($bus);
    },
    drain => sub {
        my $bus = shift;
        say_lines('ready');
        for my $wait (0, $key{wait}) { say_lines('error ' . failure { $bus->recv($wait) }) }
        $bus->close;
    },
    hold => sub { say_lines('ready'); sleep },
    misuse => sub {
        my $bus = shift;
        $bus->close for 1 .. 2;
        for my $object ($bus, Tachyon::Bus->new) {
            say_lines('error ' . failure { $object->send('x') });
            say_lines('error ' . failure { $object->recv });
            failure { $object->flush };
        }
    },
    serve => sub {
        my ($rpc, $served) = ($_[0], 0);
        my $code = failure {
            while (1) {
                my @requests = map {
                    my $data = $rpc->serve($key{wait});
                    [$rpc->id, scalar reverse($data), $rpc->type_id + 1]
                } 1 .. $key{outstanding};
                @requests = reverse @requests if $key{order} eq 'reverse';
                for (@requests) { $rpc->reply(@$_, $key{wait}); $served++ }
            }
        };
        say_lines("served $served", "error $code");
        $rpc->close;
    },
    call => sub {
        my ($rpc, $answered, $cancelled, $next) = ($_[0], 0, 0, 0);
        my $code = failure {
            while ($next < $key{count}) {
                my @some = $next .. min($next + $key{outstanding}, $key{count}) - 1;
                $next += @some;
                my @ids = map { $rpc->call(message($_), type_of($_), $key{wait}) } @some;
                for my $i (@some) {
                    my $id = shift @ids;
                    if ($key{cancel} && ($i + 1) % $key{cancel} == 0) {
                        $rpc->cancel($id);
                        $cancelled++;
                    } else {
                        my $good = $rpc->wait_for($id, $key{wait}) eq reverse message($i);
                        stop("wrong $i") unless $good && $rpc->type_id == type_of($i) + 1;
                        $answered++;
                    }
                }
            }
        };
        say_lines("answered $answered", $code ? "error $code" : "cancelled $cancelled");
        finish($rpc);
    },
    produce => sub {
        my ($bus, $start, $qty, $price) = ($_[0], time, 0, 0);
        my $wait = $key{wait};
        my $code = $batch ? (send_from($bus, 0, $key{count}, $wait))[1] : failure {
            for my $i (0 .. $key{count} - 1) {    # as a program would
                $bus->send(pack($TICK, 'TCHY', 100 + $i * 0.25, $i % 1000, 0, $i), 7, $wait);
            }
        };
        stop("error $code") if $code;
        $bus->flush;
        my $stop = time;
        for my $i (0 .. $key{count} - 1) { $qty += $i % 1000; $price += 100 + $i * 0.25 }
        report($key{count}, $qty, $price, $stop - $start);
        $bus->close;
    },
    consume => sub {
        my ($bus, $count, $qty, $price, $start) = ($_[0], 0, 0, 0);
        my $code = failure {
            while (1) {
                my $data = receive($bus, $count);
                $start //= time;
                my @fields = unpack "($TICK)*", $data;
                for (my $at = 0; $at < @fields; $at += 5) {
                    stop("wrong $count")
                        if $fields[$at] !~ /^TCHY/ || $fields[$at + 3] || $fields[$at + 4] != $count;
                    $count++;
                    $price += $fields[$at + 1];
                    $qty += $fields[$at + 2];
                }
            }
        };
        my $stop = time;
        stop("error $code") unless $code == $Tachyon::ERR_CLOSED;
        report($count, $qty, $price, $stop - $start);
        $bus->close;
    },
    ping => sub {
        my ($bus, $options) = @_;
        my ($back, $data, $wait, $last) = (Tachyon::Bus->new, message(0), $key{wait});
        $back->connect("$path-back", $options);
        for (1 .. $key{count}) {
            $bus->send($data, 1, $wait);
            $last = $back->recv($wait);
        }
        answered($bus, $last);
    },
    ask => sub {
        my ($rpc, $data, $wait, $last) = ($_[0], message(0), $key{wait});
        $last = $rpc->wait_for($rpc->call($data, 1, $wait), $wait) for 1 .. $key{count};
        answered($rpc, $last);
    },
);

my $rpc = $operation =~ /^(serve|call|ask)$/;
my $bus = $rpc ? Tachyon::RpcBus->new : Tachyon::Bus->new;
my $options = Tachyon::Options->new;
@$options{qw(timeout schema role types_required)} = @key{qw(open schema role required)};
$options->set_types($key{types}) if $key{types};
my $meets = $operation eq 'meet';
say_lines('ready') if $meets;
my $code = failure {
    if ($operation eq 'serve' || !$rpc && $key{end} eq 'listen') {
        $bus->listen($path, ($key{capacity}) x ($rpc ? 2 : 1), $options);
    } else {
        $bus->connect($path, $options);
    }
};
if ($code) { say_lines("error $code", $meets ? "why $why" : ()) }
else { $run{ $meets ? 'open' : $operation }->($bus, $options) }
