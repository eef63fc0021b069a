// SPDX-License-Identifier: Apache-2.0
// recv PATH: listens and prints what comes until the stream ends.
using System;
using System.Text;
using TachyonIpc;

static class Sample {
    static void Main(string[] args) {
        int count = 0;
        using (Bus bus = Bus.Listen(args[0], 1 << 16))
            foreach (Message message in bus.Messages()) {
                string text = Encoding.UTF8.GetString(message.Payload);
                Console.WriteLine("type " + message.TypeId + ": " + text);
                ++count;
            }
        Console.WriteLine("received " + count);
    }
}
