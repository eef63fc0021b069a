# SPDX-License-Identifier: Apache-2.0
use strict;
use warnings;
use Test::More tests => 4;
use Tachyon;

my $path = "\@tachyon-cpan-$$";
my $child = fork // die "fork: $!";
if (!$child) {
    my $options = Tachyon::Options->new;
    $options->{timeout} = 10;
    my $bus = Tachyon::Bus->new;
    $bus->connect($path, $options);
    $bus->send("hello", 7);
    $bus->close;
    require POSIX;
    POSIX::_exit(0);
}
my $bus = Tachyon::Bus->new;
$bus->listen($path, 65536);
is($bus->recv(10), "hello", "what was sent");
is($bus->type_id, 7, "and its type");
is(eval { $bus->recv(10); 1 }, undef, "then the end of the stream");
waitpid $child, 0;
is($?, 0, "the other end");
