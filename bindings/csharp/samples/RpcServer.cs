// SPDX-License-Identifier: Apache-2.0
// rpc_server PATH: listens and answers each request with its text in upper case.
using System;
using System.Text;
using System.Threading.Tasks;
using TachyonIpc;

static class Sample {
    static Task<Message> Upper(Message request) {
        string text = Encoding.UTF8.GetString(request.Payload).ToUpperInvariant();
        var reply = new Message(Encoding.UTF8.GetBytes(text), request.TypeId);
        return Task.FromResult(reply);
    }

    static void Main(string[] args) {
        using (RpcBus bus = RpcBus.Listen(args[0], 1 << 16, 1 << 16))
            Console.WriteLine("served " + bus.ServeAsync(Upper).Result);
    }
}
