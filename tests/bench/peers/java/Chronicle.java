// SPDX-License-Identifier: Apache-2.0
import java.nio.ByteBuffer;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.ExcerptAppender;
import net.openhft.chronicle.queue.ExcerptTailer;
import net.openhft.chronicle.queue.impl.single.SingleChronicleQueueBuilder;
import net.openhft.chronicle.wire.DocumentContext;

/** Chronicle Queue: a queue in each direction, in memory. */
final class Chronicle extends Link {
    private static final long BLOCK = 64 << 20;
    private ChronicleQueue to, from;
    private ExcerptAppender out;
    private ExcerptTailer in;
    private Bytes<ByteBuffer> message;

    Chronicle(Setting setting) {
        super(setting);
    }

    private ChronicleQueue queue(String name) {
        String path = "/dev/shm/" + setting.unique() + "-" + name;
        return SingleChronicleQueueBuilder.binary(path)
                .blockSize(Math.max(BLOCK, 4 * setting.ringBytes())).build();
    }

    @Override
    void open() {
        if (setting.mode() == SLEEP) throw new Cannot("wakes nobody: it is polled");
        to = queue(setting.lead() ? "forth" : "back");
        from = queue(setting.lead() ? "back" : "forth");
        out = to.createAppender();
        in = from.createTailer();
        message = Bytes.elasticByteBuffer(setting.size());
    }

    @Override
    void send(ByteBuffer data) {
        message.clear();
        message.write(0, data, 0, data.limit());
        message.writePosition(data.limit());
        out.writeBytes(message);
    }

    @Override
    void receive(ByteBuffer into) {
        message.clear();
        while (!in.readBytes(message)) Thread.onSpinWait();
        message.read(into);
    }

    @Override
    void sendInPlace(long number) {
        int size = setting.size();
        long word = pattern(number);
        try (DocumentContext document = out.writingDocument()) {
            Bytes<?> room = document.wire().bytes();
            long at = room.writePosition();
            for (int i = 0; i < size; i += 8) room.writeLong(at + i, word);
            room.writeLong(at, number).writePosition(at + size);
        }
    }

    @Override
    long receiveInPlace() {
        for (;; Thread.onSpinWait()) {
            try (DocumentContext document = in.readingDocument()) {
                if (!document.isPresent()) continue;
                Bytes<?> message = document.wire().bytes();
                long at = message.readPosition(), sum = 0;
                for (int i = 0; i < setting.size(); i += LINE) sum += message.readLong(at + i);
                return sum;
            }
        }
    }

    @Override
    void close() {
        from.close();
        to.close();
    }
}
