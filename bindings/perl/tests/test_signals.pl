# SPDX-License-Identifier: Apache-2.0
# Handlers run while a call waits: one that dies ends it, one that returns does not.
use strict;
use warnings;
use POSIX ();
use Tachyon;
use Time::HiRes qw(time setitimer ITIMER_REAL);

sub check { $_[0] or die "line " . (caller)[2] . ": " . ($_[1] // '') . "\n" }
my $path = "\@tachyon-perl-signals-$$";
my ($a, $b) = map { Tachyon::Bus->new } 1 .. 2;
$a->listen_start($path, 4096);
$b->connect_start($path);
1 while $a->open_step + $b->open_step < 2;
$a->send('x');
check($b->recv eq 'x');

$SIG{ALRM} = sub { die { signal => 'ALRM' } };
check(!eval { setitimer(ITIMER_REAL, 0.2); $b->recv } && ref $@ eq 'HASH' && $@->{signal} eq 'ALRM', $@);
check(!eval { $b->recv(0.05); 1 } && $@->code == $Tachyon::ERR_TIMEOUT, $@);
check(!eval { setitimer(ITIMER_REAL, 0.2); Tachyon::Bus->new->listen("$path-nobody", 4096) }
    && ref $@ eq 'HASH', $@);
check(!eval { setitimer(ITIMER_REAL, 0.2); $a->send_batch('.' x 10000, 1000) }
    && ref $@ eq 'HASH', $@);
check($a->count > 0 && length $b->recv_batch(1000) == 1000 * $a->count, $a->count);

my $seen = 0;
$SIG{ALRM} = sub { $seen++ };
setitimer(ITIMER_REAL, 0.05, 0.05);    # a wait that began anew at each would never end
while ($seen < 5) {
    my $start = time;
    check(!eval { $b->recv(0.5); 1 } && $@->code == $Tachyon::ERR_TIMEOUT, $@);
    check(time - $start >= 0.5, "$seen signals");
}
$SIG{ALRM} = sub { $a->send('late') if ++$seen == 20 };    # uses the other end meanwhile
$seen = 0;
check($b->recv eq 'late');
setitimer(ITIMER_REAL, 0);

# A handler that exits, while a call waits, ends the program in order.
my $child = fork // die;
if (!$child) {
    $SIG{ALRM} = sub { exit 7 };
    setitimer(ITIMER_REAL, 0.1);
    my ($c, $d) = map { Tachyon::Bus->new } 1 .. 2;
    $c->listen_start("$path-child", 4096);
    $d->connect_start("$path-child");
    1 while $c->open_step + $d->open_step < 2;
    $d->recv;
    POSIX::_exit(1);
}
waitpid $child, 0;
check($? == 7 << 8, $?);
# Without a handler, the process ends as ever.
$child = fork // die;
if (!$child) {
    $SIG{ALRM} = 'DEFAULT';
    setitimer(ITIMER_REAL, 0.1);
    Tachyon::Bus->new->listen("$path-child", 4096);
    POSIX::_exit(1);
}
waitpid $child, 0;
check($? == POSIX::SIGALRM(), $?);
