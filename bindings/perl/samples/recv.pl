# SPDX-License-Identifier: Apache-2.0
# recv.pl PATH: prints the messages of send.pl, or of that of another language.
use strict;
use warnings;
use Tachyon;

my $bus = Tachyon::Bus->new;
$bus->listen($ARGV[0], 65536);
my $received = 0;
eval {
    while (1) {
        my $data = $bus->recv;
        $received++;
        print 'type ', $bus->type_id, ": $data\n";
    }
};
die $@ unless ref $@ && $@->code == $Tachyon::ERR_CLOSED;    # the end of the stream
print "received $received\n";
