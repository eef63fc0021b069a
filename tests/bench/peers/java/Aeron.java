// SPDX-License-Identifier: Apache-2.0
import io.aeron.ExclusivePublication;
import io.aeron.FragmentAssembler;
import io.aeron.Subscription;
import io.aeron.driver.MediaDriver;
import io.aeron.driver.ThreadingMode;
import io.aeron.logbuffer.BufferClaim;
import io.aeron.logbuffer.FragmentHandler;
import io.aeron.logbuffer.Header;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.UnsafeBuffer;

/** Aeron over IPC, its driver in the process that measures. */
final class Aeron extends Link {
    private static final String CHANNEL = "aeron:ipc";
    private static final int FORTH = 1, BACK = 2, MTU = 65_504;
    private static final int LEAST_TERM = 4 << 20, MOST_MESSAGE = 16 << 20;
    private MediaDriver driver;
    private io.aeron.Aeron aeron;
    private ExclusivePublication out;
    private Subscription in;
    private final UnsafeBuffer sent = new UnsafeBuffer(0, 0);
    private final BufferClaim claim = new BufferClaim();
    private final FragmentAssembler copies = new FragmentAssembler(this::copy);
    private final FragmentHandler reads = this::look;
    private ByteBuffer into;
    private boolean taken;
    private long sum;

    Aeron(Setting setting) {
        super(setting);
    }

    /** A message may have an eighth of a term. */
    private int termBytes() {
        return Math.max(LEAST_TERM, Integer.highestOneBit(setting.size()) * 8);
    }

    @Override
    void open() {
        if (setting.mode() == SLEEP) throw new Cannot("wakes nobody: it is polled");
        if (setting.size() > MOST_MESSAGE) throw new Cannot("a message has 16 MiB at most");
        Path directory = Path.of("/dev/shm", setting.unique() + "-aeron");
        if (setting.lead()) {
            driver = MediaDriver.launch(new MediaDriver.Context()
                    .aeronDirectoryName(directory.toString())
                    .threadingMode(ThreadingMode.SHARED)
                    .ipcTermBufferLength(termBytes())
                    .ipcMtuLength(MTU)
                    .termBufferSparseFile(true)
                    .dirDeleteOnShutdown(true));
        } else {
            while (!Files.exists(directory.resolve("cnc.dat"))) Thread.onSpinWait();
        }
        aeron = io.aeron.Aeron.connect(new io.aeron.Aeron.Context()
                .aeronDirectoryName(directory.toString()));
        in = aeron.addSubscription(CHANNEL, setting.lead() ? BACK : FORTH);
        out = aeron.addExclusivePublication(CHANNEL, setting.lead() ? FORTH : BACK);
        while (!out.isConnected() || !in.isConnected()) Thread.yield();
    }

    @Override
    void send(ByteBuffer message) {
        sent.wrap(message);
        while (out.offer(sent, 0, message.limit()) < 0) Thread.onSpinWait();
    }

    private void copy(DirectBuffer buffer, int offset, int length, Header header) {
        buffer.getBytes(offset, into, 0, length);
        taken = true;
    }

    @Override
    void receive(ByteBuffer into) {
        this.into = into;
        for (taken = false; !taken; ) {
            if (in.poll(copies, 1) == 0) Thread.onSpinWait();
        }
    }

    @Override
    void sendInPlace(long number) {
        int size = setting.size();
        if (size > out.maxPayloadLength()) {
            throw new Cannot("claims " + out.maxPayloadLength() + " bytes at most in place");
        }
        while (out.tryClaim(size, claim) < 0) Thread.onSpinWait();
        UnsafeBuffer room = (UnsafeBuffer) claim.buffer();
        int at = claim.offset();
        long word = pattern(number);
        for (int i = 0; i < size; i += 8) room.putLong(at + i, word);
        room.putLong(at, number);
        claim.commit();
    }

    private void look(DirectBuffer buffer, int offset, int length, Header header) {
        sum = 0;
        for (int i = 0; i < length; i += LINE) sum += buffer.getLong(offset + i);
        taken = true;
    }

    @Override
    long receiveInPlace() {
        for (taken = false; !taken; ) {
            if (in.poll(reads, 1) == 0) Thread.onSpinWait();
        }
        return sum;
    }

    @Override
    void close() {
        aeron.close();
        if (driver != null) driver.close();
    }
}
