// SPDX-License-Identifier: Apache-2.0
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramIterationValue;

/**
 * One of the two processes of a workload; pair.py starts both.
 *
 * <p>Driver LINK lead|other WORKLOAD MODE SIZE BATCH COUNT PAUSE_NS LEAD_CORE PEER_CORE DIR.
 * The words, and what comes of them, are those of ../c/driver.c. Before it measures, as many
 * messages as are measured go through, so that the compiler has seen them.
 */
final class Driver {
    private static final long HIGHEST_NS = 60_000_000_000L;
    private static final int BYTES = 4096;
    private static final VarHandle WORD =
            MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
    private static final int SEEN = 128, CONNECT_NS = 192, WALL_NS = 200, CPU_NS = 208;
    private static final int RESIDENT = 216, SHARED = 232; /* of the lead, of the other */

    private final Link.Setting setting;
    private final Link link;
    private final MappedByteBuffer control;
    private final String workload;
    private final int count;
    private final long pauseNs;
    private final ByteBuffer message;
    private final Histogram values = new Histogram(1, HIGHEST_NS, 3);

    private Driver(String[] words) throws Exception {
        workload = words[2];
        setting = new Link.Setting(words[10], words[1].equals("lead"),
                Integer.parseInt(words[3]), Integer.parseInt(words[4]),
                Integer.parseInt(words[5]), workload.equals("rpc"));
        count = Integer.parseInt(words[6]);
        pauseNs = Long.parseLong(words[7]);
        try (FileChannel file = FileChannel.open(Path.of(words[10], "control"),
                StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            control = file.map(FileChannel.MapMode.READ_WRITE, 0, BYTES);
        }
        message = ByteBuffer.allocateDirect(setting.size()).order(ByteOrder.LITTLE_ENDIAN);
        link = (Link) Class.forName(words[0]).getDeclaredConstructor(Link.Setting.class)
                .newInstance(setting);
    }

    // ---- What the two tell each other beside the link ----

    private long look(int at) {
        return (long) WORD.getVolatile((ByteBuffer) control, at);
    }

    private void tell(int at, long value) {
        WORD.setVolatile((ByteBuffer) control, at, value);
    }

    private void meet() {
        int own = setting.lead() ? 0 : 64, other = 64 - own;
        long mine = look(own) + 1;
        tell(own, mine);
        while (look(other) < mine) Thread.onSpinWait();
    }

    private void note(long ns) {
        values.recordValue(Math.min(Math.max(ns, 1), HIGHEST_NS));
    }

    // ---- Messages ----

    private void mark(ByteBuffer items, int at, long number) {
        items.put(at + setting.size() - 1, (byte) number).putLong(at, number);
    }

    private void check(ByteBuffer items, int at, long number) {
        boolean last = setting.size() == 8
                || items.get(at + setting.size() - 1) == (byte) number;
        expect(items.getLong(at) == number && last);
    }

    private static void expect(boolean right) {
        if (!right) throw new Link.Cannot("a message has arrived changed or out of turn");
    }

    private void sendNumber(long number) {
        mark(message, 0, number);
        link.send(message.clear());
    }

    private void receiveNumber(long number) {
        link.receive(message.clear());
        check(message, 0, number);
    }

    // ---- The workloads: what the lead does, and the other ----

    private void exchange(int count, boolean noted) {
        for (int number = 1; number <= count; number++) {
            if (!setting.lead()) {
                receiveNumber(number);
                link.send(message.clear());
                continue;
            }
            long start = System.nanoTime();
            sendNumber(number);
            receiveNumber(number);
            if (noted) note(System.nanoTime() - start);
        }
    }

    private void trip() {
        exchange(count, false);
        meet();
        exchange(count, true);
    }

    /** Twice, the second time measured. */
    private void stream(Runnable all) {
        for (int round = 0; round < 2; round++) {
            meet();
            long start = System.nanoTime();
            all.run();
            meet();
            if (setting.lead()) tell(WALL_NS, System.nanoTime() - start);
        }
    }

    private void way() {
        if (setting.batch() > 1) {
            if (!link.hasBatches()) {
                throw new Link.Cannot("has no call that sends several messages");
            }
            stream(this::batches);
            return;
        }
        stream(() -> {
            for (int number = 1; number <= count; number++) {
                if (setting.lead()) sendNumber(number);
                else receiveNumber(number);
            }
        });
    }

    private void batches() {
        int batch = setting.batch(), size = setting.size();
        int all = (count + batch - 1) / batch * batch;
        ByteBuffer items = ByteBuffer.allocateDirect(batch * size).order(ByteOrder.LITTLE_ENDIAN);
        for (int number = 1; number <= all; ) {
            int most = Math.min(batch, all + 1 - number);
            if (setting.lead()) {
                for (int i = 0; i < batch; i++) mark(items, i * size, number++);
                link.sendBatch(items.clear());
            } else {
                int got = link.receiveBatch(items.clear().limit(most * size));
                for (int i = 0; i < got; i++) check(items, i * size, number++);
            }
        }
    }

    private void place() {
        int size = setting.size();
        long lines = (size - 8) / Link.LINE;
        stream(() -> {
            for (long number = 1; number <= count; number++) {
                long rest = lines * Link.pattern(number);
                if (setting.lead()) link.sendInPlace(number);
                else expect(link.receiveInPlace() == number + rest);
            }
        });
    }

    private void wake() {
        meet();
        for (int number = 1; number <= count; number++) {
            if (!setting.lead()) {
                receiveNumber(number);
                tell(SEEN, number);
                continue;
            }
            for (long until = System.nanoTime() + pauseNs; System.nanoTime() < until; ) {}
            long start = System.nanoTime();
            sendNumber(number);
            while (look(SEEN) != number) Thread.onSpinWait();
            note(System.nanoTime() - start);
        }
    }

    private void idle() throws Exception {
        meet();
        if (setting.lead()) {
            Thread.sleep(pauseNs / 1_000_000);
            sendNumber(1);
        } else {
            long before = cpuNs(), start = System.nanoTime();
            receiveNumber(1);
            tell(CPU_NS, cpuNs() - before);
            tell(WALL_NS, System.nanoTime() - start);
        }
        meet();
    }

    private static long cpuNs() {
        return ((com.sun.management.OperatingSystemMXBean)
                java.lang.management.ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    private void paced() {
        meet();
        long start = System.nanoTime();
        for (int i = 0; i < count; i++) {
            if (setting.lead()) {
                long due = start + i * pauseNs, time;
                while ((time = System.nanoTime()) < due) {}
                sendNumber(pauseNs > 0 ? due : time);
            } else {
                link.receive(message.clear());
                note(System.nanoTime() - message.getLong(0));
            }
        }
        meet();
        if (setting.lead()) tell(WALL_NS, System.nanoTime() - start);
    }

    /** What this process has alone, and its part of what it shares, in bytes. */
    private static long[] memoryNow() throws Exception {
        long[] found = {-1, -1};
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
            String[] words = line.split("\\s+");
            if (words[0].equals("Pss_Anon:")) found[0] = Long.parseLong(words[1]) * 1024;
            if (words[0].equals("Pss_Shmem:")) found[1] = Long.parseLong(words[1]) * 1024;
        }
        if (found[0] < 0 || found[1] < 0) {
            throw new Link.Cannot("the kernel does not tell the memory of a process by kind");
        }
        return found;
    }

    private void memory(long[] before) throws Exception {
        int own = setting.lead() ? 0 : 8;
        meet();
        long[] after = memoryNow();
        tell(RESIDENT + own, Math.max(0, after[0] - before[0]));
        tell(SHARED + own, Math.max(0, after[1] - before[1]));
        meet();
    }

    private void run() throws Exception {
        if (setting.rpc() && !link.hasRpc()) {
            throw new Link.Cannot("is not measured by calls here");
        }
        long[] before = workload.equals("memory") ? memoryNow() : null;
        meet();
        long start = System.nanoTime();
        link.open();
        exchange(1, false);
        if (setting.lead()) tell(CONNECT_NS, System.nanoTime() - start);
        switch (workload) {
            case "trip", "rpc" -> trip();
            case "way" -> way();
            case "place" -> place();
            case "wake" -> wake();
            case "idle" -> idle();
            case "paced" -> paced();
            case "memory" -> memory(before);
            case "connect" -> meet();
            default -> throw new Link.Cannot("no workload " + workload);
        }
        if (values.getTotalCount() > 0) writeValues();
        meet();
        if (setting.lead()) meet();
        link.close(); /* the lead's last: a driver may be in it */
        if (!setting.lead()) {
            meet();
            return;
        }
        System.out.printf("{\"connect_ns\": %d, \"wall_ns\": %d, \"cpu_ns\": %d, "
                + "\"resident\": %d, \"shared\": %d}%n", look(CONNECT_NS), look(WALL_NS),
                look(CPU_NS), look(RESIDENT) + look(RESIDENT + 8),
                look(SHARED) + look(SHARED + 8));
    }

    /** As many as were recorded, each as exactly as the histogram has it. */
    private void writeValues() throws Exception {
        ByteBuffer all = ByteBuffer.allocate((int) values.getTotalCount() * 8)
                .order(ByteOrder.nativeOrder());
        for (HistogramIterationValue value : values.recordedValues()) {
            long times = value.getCountAddedInThisIterationStep();
            for (long i = 0; i < times; i++) all.putLong(value.getValueIteratedTo());
        }
        Files.write(Path.of(setting.directory(), "values"), all.array());
    }

    public static void main(String[] words) {
        int status = 0;
        try {
            new Driver(words).run();
        } catch (Throwable error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            if (!(cause instanceof Link.Cannot)) cause.printStackTrace();
            String why = cause instanceof Link.Cannot ? cause.getMessage() : cause.toString();
            System.out.println("{\"cannot\": \"" + why.replaceAll("[\"\\\\\\p{Cntrl}]", " ") + "\"}");
            status = 1;
        }
        System.out.flush();
        Runtime.getRuntime().halt(status); /* threads of a link are not waited for */
    }
}
