% SPDX-License-Identifier: Apache-2.0
% rpc_server.m PATH: answers each request with its text in upper case.
tachyon;
rpc = tachyon.RpcBus();
rpc.listen(argv(){1}, 65536, 65536); % one ring for requests, one for replies
served = 0;
try
  while true
    request = rpc.serve();
    rpc.reply(rpc.id, toupper(char(request)), rpc.type_id);
    served++;
  end
catch e
  if ! strcmp(e.identifier, "Tachyon:ERR_CLOSED") % the client has finished
    rethrow(e);
  end
end
printf("served %d\n", served);
