# SPDX-License-Identifier: Apache-2.0
# rpc_client.pl PATH WORD...: asks rpc_server.pl, or that of another language.
use strict;
use warnings;
use Tachyon;

my ($path, @words) = @ARGV;
my $options = Tachyon::Options->new;
$options->{timeout} = 10;    # seconds to keep trying: the server may start later
my $rpc = Tachyon::RpcBus->new;
$rpc->connect($path, $options);
for my $word (@words) {
    my $id = $rpc->call($word, 1);
    print "$word -> ", $rpc->wait_for($id), "\n";
}
$rpc->close;
