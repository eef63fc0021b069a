// SPDX-License-Identifier: Apache-2.0
// rpc_client PATH WORD...: connects and makes a call for each word.
using System;
using System.Linq;
using System.Text;
using TachyonIpc;

static class Sample {
    static void Main(string[] args) {
        var options = new Options { Timeout = TimeSpan.FromSeconds(10) };
        using (RpcBus bus = RpcBus.Connect(args[0], options))
            foreach (string word in args.Skip(1)) {
                ulong call = bus.Call(Encoding.UTF8.GetBytes(word), 1);
                string reply = Encoding.UTF8.GetString(bus.Wait(call).Payload);
                Console.WriteLine(word + " -> " + reply);
            }
    }
}
