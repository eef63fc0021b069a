# SPDX-License-Identifier: Apache-2.0
# send.pl PATH [COUNT=10]: sends messages to recv.pl, or to that of another language.
use strict;
use warnings;
use Tachyon;

my ($path, $count) = (@ARGV, 10);
my $options = Tachyon::Options->new;
$options->{timeout} = 10;    # seconds to keep trying: recv may start later
my $bus = Tachyon::Bus->new;
$bus->connect($path, $options);
$bus->send("tick $_", 1) for 0 .. $count - 1;
$bus->close;                 # everything sent still arrives
print "sent $count\n";
