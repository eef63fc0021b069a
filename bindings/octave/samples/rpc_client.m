% SPDX-License-Identifier: Apache-2.0
% rpc_client.m PATH WORD...: asks rpc_server.m, or that of another language.
tachyon;
words = argv();
options = tachyon.Options();
options.timeout = 10; % seconds to keep trying: the server may start later
rpc = tachyon.RpcBus();
rpc.connect(words{1}, options);
for i = 2:numel(words)
  id = rpc.call(words{i}, 1);
  printf("%s -> %s\n", words{i}, char(rpc.wait_for(id)));
end
rpc.close();
