% SPDX-License-Identifier: Apache-2.0
% send.m PATH [COUNT=10]: sends messages to recv.m, or to that of another language.
tachyon;
words = [argv(); {"10"}];
count = str2double(words{2});
options = tachyon.Options();
options.timeout = 10; % seconds to keep trying: recv may start later
bus = tachyon.Bus();
bus.connect(words{1}, options);
for i = 0:count - 1
  bus.send(sprintf("tick %d", i), 1);
end
bus.close(); % everything sent still arrives
printf("sent %d\n", count);
