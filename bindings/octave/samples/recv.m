% SPDX-License-Identifier: Apache-2.0
% recv.m PATH: prints the messages of send.m, or of that of another language.
tachyon;
bus = tachyon.Bus();
bus.listen(argv(){1}, 65536);
received = 0;
try
  while true
    data = bus.recv();
    received++;
    printf("type %d: %s\n", bus.type_id, char(data));
  end
catch e
  if ! strcmp(e.identifier, "Tachyon:ERR_CLOSED") % the end of the stream
    rethrow(e);
  end
end
printf("received %d\n", received);
