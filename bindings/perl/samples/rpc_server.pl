# SPDX-License-Identifier: Apache-2.0
# rpc_server.pl PATH: answers each request with its text in upper case.
use strict;
use warnings;
use Tachyon;

my $rpc = Tachyon::RpcBus->new;
$rpc->listen($ARGV[0], 65536, 65536);    # one ring for requests, one for replies
my $served = 0;
eval {
    while (1) {
        my $request = $rpc->serve;
        $rpc->reply($rpc->id, uc $request, $rpc->type_id);
        $served++;
    }
};
die $@ unless ref $@ && $@->code == $Tachyon::ERR_CLOSED;    # the client has finished
print "served $served\n";
