// SPDX-License-Identifier: Apache-2.0
// send PATH [COUNT]: connects and sends texts.
using System;
using System.Text;
using TachyonIpc;

static class Sample {
    static void Main(string[] args) {
        int count = args.Length > 1 ? int.Parse(args[1]) : 10;
        var options = new Options { Timeout = TimeSpan.FromSeconds(10) };
        using (Bus bus = Bus.Connect(args[0], options))
            for (int i = 0; i < count; ++i)
                bus.Send(Encoding.UTF8.GetBytes("tick " + i), 1);
        Console.WriteLine("sent " + count);
    }
}
