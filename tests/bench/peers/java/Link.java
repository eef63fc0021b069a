// SPDX-License-Identifier: Apache-2.0
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** A connection of two processes in both directions; ../c/link.h says the same for C. */
abstract class Link {
    static final int SPIN = 0, ADAPTIVE = 1, SLEEP = 2;
    static final int LINE = 64;
    private static final long RING_BYTES = 4 << 20;

    /** What an adapter is told. */
    record Setting(String directory, boolean lead, int mode, int size, int batch, boolean rpc) {
        /** Of every ring, where one can say: room for some messages of any size. */
        long ringBytes() {
            return Math.max(RING_BYTES, 4L * size);
        }

        /** A name that no other sample has. */
        String unique() {
            return "tachyon-bench-" + directory.substring(directory.lastIndexOf('/') + 1);
        }
    }

    /** Why there is no number: the row has that text. */
    static final class Cannot extends RuntimeException {
        private static final long serialVersionUID = 1;

        Cannot(String why) {
            super(why);
        }
    }

    final Setting setting;

    Link(Setting setting) {
        this.setting = setting;
    }

    /** Both processes at the same time. */
    abstract void open();

    /** A direct buffer, from position to limit; to be seen at once. */
    abstract void send(ByteBuffer message);

    /** Into a direct buffer, from its beginning. */
    abstract void receive(ByteBuffer into);

    boolean hasBatches() {
        return false;
    }

    void sendBatch(ByteBuffer items) {
        throw new Cannot("has no call that sends several messages");
    }

    /** How many; the buffer has room for as many as are wanted. */
    int receiveBatch(ByteBuffer items) {
        receive(items);
        return 1;
    }

    /** Writes the next message where it is read: see write(). */
    void sendInPlace(long number) {
        throw new Cannot("is not measured in place here");
    }

    /** What read() says of the next message. */
    long receiveInPlace() {
        throw new Cannot("is not measured in place here");
    }

    boolean hasRpc() {
        return false;
    }

    void close() {}

    /** What fills a message in place behind its number, as in ../c/touch.h. */
    static long pattern(long number) {
        return (number & 0xff) * 0x0101010101010101L;
    }

    /** All of a message. */
    static void write(ByteBuffer room, int at, int size, long number) {
        long word = pattern(number);
        room.order(ByteOrder.LITTLE_ENDIAN);
        for (int end = at + size, i = at; i < end; i += 8) room.putLong(i, word);
        room.putLong(at, number);
    }

    /** One word of each line. */
    static long read(ByteBuffer message, int at, int size) {
        long sum = 0;
        message.order(ByteOrder.LITTLE_ENDIAN);
        for (int end = at + size, i = at; i < end; i += LINE) sum += message.getLong(i);
        return sum;
    }
}
