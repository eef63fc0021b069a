// SPDX-License-Identifier: Apache-2.0
import dev.tachyon_ipc.Options;
import dev.tachyon_ipc.TachyonBus;
import java.time.Duration;

/** Send PATH [COUNT]: messages of type 1 to whoever listens there. */
final class Send {
    public static void main(String[] arguments) {
        int count = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 10;
        Options options = new Options();
        options.setTimeout(Duration.ofSeconds(10));
        try (TachyonBus bus = TachyonBus.connect(arguments[0], options)) {
            for (int i = 0; i < count; i++) bus.send(("tick " + i).getBytes(), 1);
        }
        System.out.println("sent " + count);
    }
}
