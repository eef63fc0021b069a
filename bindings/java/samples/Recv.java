// SPDX-License-Identifier: Apache-2.0
import dev.tachyon_ipc.BusClosedException;
import dev.tachyon_ipc.RxGuard;
import dev.tachyon_ipc.TachyonBus;
import java.nio.charset.StandardCharsets;

/** Recv PATH: prints each message until the sender closes. */
final class Recv {
    public static void main(String[] arguments) {
        int received = 0;
        try (TachyonBus bus = TachyonBus.listen(arguments[0], 1 << 16)) {
            for (;; received++) {
                try (RxGuard message = bus.acquireRx(10_000)) {
                    var text = StandardCharsets.UTF_8.decode(message.getData());
                    System.out.println("type " + message.getTypeId() + ": " + text);
                }
            }
        } catch (BusClosedException end) {
            System.out.println("received " + received);
        }
    }
}
