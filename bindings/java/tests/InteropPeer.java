// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntSupplier;

/** The Java peer of tests/interop, whose README.md has its rules. */
final class InteropPeer {
    private static final int BATCH = 100, TICK = 32, TICKS = 1000;
    private static final Map<String, String> KEYS = new HashMap<>(Map.ofEntries(
            Map.entry("end", "connect"), Map.entry("open", "20"), Map.entry("capacity", "65536"),
            Map.entry("schema", "0"), Map.entry("role", "0"), Map.entry("wait", "20"),
            Map.entry("count", "1"), Map.entry("size", "32"), Map.entry("how", "single"),
            Map.entry("seed", "0"), Map.entry("finish", "close"), Map.entry("order", "in"),
            Map.entry("outstanding", "1"), Map.entry("cancel", "0"),
            Map.entry("types", ""), Map.entry("required", "0")));
    private static String path, how;
    private static int count, seed, error, done;
    private static int[] sizes;
    private static Duration wait;
    private static TachyonBus bus;
    private static ByteBuffer room = ByteBuffer.allocateDirect(0);

    static int number(String key) {
        return Integer.parseInt(KEYS.get(key));
    }

    static Duration time(String key) {
        return Duration.ofNanos((long) (Double.parseDouble(KEYS.get(key)) * 1e9));
    }

    static void expect(boolean right, int i) {
        if (right) return;
        System.out.println("wrong " + i);
        System.exit(1);
    }

    static int typeOf(int i) {
        return how.equals("batch") ? 1 : i % 7 + 1;
    }

    static byte[] message(int i) {
        byte[] data = new byte[sizes[(how.equals("batch") ? i / BATCH : i) % sizes.length]];
        for (int j = 0; j < data.length; j++) data[j] = (byte) (31 * i + 7 * j + seed);
        return data;
    }

    static Options options() {
        Options options = new Options();
        options.setTimeout(time("open"));
        options.setSchema(Long.parseLong(KEYS.get("schema")));
        options.setRole(Role.swigToEnum(number("role")));
        if (!KEYS.get("types").isEmpty()) options.setTypes(KEYS.get("types"));
        options.setTypesRequired(number("required") == 1);
        return options;
    }

    static void open() {
        bus = KEYS.get("end").equals("listen")
                ? TachyonBus.listen(path, number("capacity"), options())
                : TachyonBus.connect(path, options());
    }

    /** Kill, leave, abort or close. */
    static void finish(Runnable abort, Runnable close) throws Exception {
        switch (KEYS.get("finish")) {
            case "kill" -> {
                new ProcessBuilder("kill", "-9", "" + ProcessHandle.current().pid()).start();
                Thread.sleep(20_000);
            }
            case "abort" -> abort.run();
            case "close" -> close.run();
            default -> { }
        }
    }

    static ByteBuffer room(int size) {
        if (room.capacity() < size) room = ByteBuffer.allocateDirect(size);
        return room.clear().limit(size).order(ByteOrder.nativeOrder());
    }

    static int send(int i, Duration wait) {
        byte[] data = message(i);
        if (how.equals("single")) {
            bus.send(ByteBuffer.wrap(data), typeOf(i), wait);
        } else if (how.equals("in_place")) {
            try (TxGuard tx = bus.acquireTx(data.length, wait)) {
                tx.getData().put(data);
                tx.commitUnflushed(data.length, typeOf(i));
            }
        } else {
            int n = Math.min(count - i, BATCH - i % BATCH);
            room(n * data.length);
            for (int k = i; k < i + n; k++) room.put(message(k));
            return bus.sendBatch(room.flip(), data.length, 1, wait);
        }
        return 1;
    }

    static int recv(int i, Duration wait) {
        int n = 1;
        if (how.equals("single")) {
            expect(Arrays.equals(bus.recv(wait), message(i)) && bus.getTypeId() == typeOf(i), i);
        } else if (how.equals("in_place")) {
            try (RxBatchGuard batch = bus.drainBatch(BATCH, wait)) {
                for (RxMsgView m : batch) {
                    boolean right = m.getData().equals(ByteBuffer.wrap(message(i)));
                    expect(right && m.getTypeId() == typeOf(i), i++);
                }
                n = batch.getCount();
            }
        } else {
            int size = message(i).length;
            n = bus.recvBatch(room((BATCH - i % BATCH) * size), size, wait);
            for (int k = 0; k < n; k++) {
                ByteBuffer data = room.slice(k * size, size);
                expect(data.equals(ByteBuffer.wrap(message(i + k))), i + k);
            }
            expect(bus.getTypeId() == 1, i);
        }
        return n;
    }

    /** Steps on until there is an error, or all is done; `done` and `error` tell. */
    static void untilError(int all, IntSupplier step) {
        try {
            for (done = error = 0; done < all; ) done += step.getAsInt();
        } catch (TachyonException e) {
            error = e.getCode();
        }
    }

    static void printError() {
        if (error != 0) System.out.println("error " + error);
    }

    static void flush() {
        try {
            bus.flush();
        } catch (BusClosedException e) { /* it says so later */ }
    }

    static void onBus(String operation) throws Exception {
        if (operation.equals("meet")) System.out.println("ready");
        open();
        switch (operation) {
            case "open", "meet" -> System.out.println("opened");
            case "send" -> {
                untilError(count, () -> send(done, wait));
                flush();
                System.out.println("sent " + done);
                printError();
            }
            case "recv" -> {
                untilError(Integer.MAX_VALUE, () -> recv(done, wait));
                System.out.println("received " + done);
                printError();
                bus.close();
                return;
            }
            case "fill" -> {
                count = Integer.MAX_VALUE;
                untilError(count, () -> send(done, Duration.ZERO));
                System.out.println("sent " + done);
                printError();
                untilError(1, () -> send(done, wait));
                printError();
                flush();
            }
            case "drain" -> {
                System.out.println("ready");
                untilError(1, () -> recv(0, Duration.ZERO));
                printError();
                untilError(1, () -> recv(0, wait));
                printError();
            }
            case "hold" -> {
                System.out.println("ready");
                Thread.sleep(Long.MAX_VALUE);
            }
            case "misuse" -> {
                bus.close();
                bus.close();
                for (int i = 0; i < 2; i++, bus = new TachyonBus()) {
                    untilError(1, () -> send(0, wait));
                    printError();
                    untilError(1, () -> recv(0, wait));
                    printError();
                    flush();
                }
            }
            case "produce" -> produce();
            case "consume" -> consume();
            case "ping" -> ping();
            default -> System.exit(2);
        }
        finish(bus::abort, bus::close);
    }

    static void report(int n, long qty, double price, long start) {
        double ns = (System.nanoTime() - start) / (double) Math.max(n, 1);
        System.out.printf("count %d qty %d price %.2f ns %.1f%n", n, qty, price, ns);
    }

    static void putTick(ByteBuffer b, int at, int i) {
        b.putLong(at, 0x59484354L).putDouble(at + 8, 100 + i * 0.25);
        b.putInt(at + 16, i % 1000).putInt(at + 20, 0).putLong(at + 24, i);
    }

    static void produce() {
        ByteBuffer room = room(TICK * TICKS);
        long start = System.nanoTime(), qty = 0;
        double price = 0;
        if (how.equals("single")) {
            room.limit(TICK);
            for (int i = 0; i < count; i++) {
                putTick(room, 0, i);
                bus.send(room, 7, wait);
            }
        } else if (how.equals("in_place")) {
            for (int i = 0; i < count; i++) {
                TxGuard tx = bus.acquireTx(TICK, wait);
                putTick(tx.getData(), 0, i);
                tx.commitUnflushed(TICK, 7);
            }
        } else {
            for (int first = 0; first < count; first += TICKS) {
                int n = Math.min(TICKS, count - first);
                for (int k = 0; k < n; k++) putTick(room, k * TICK, first + k);
                expect(bus.sendBatch(room.limit(n * TICK), TICK, 7, wait) == n, first);
            }
        }
        bus.flush();
        long taken = System.nanoTime() - start;
        for (int i = 0; i < count; i++) {
            qty += i % 1000;
            price += 100 + i * 0.25;
        }
        report(count, qty, price, System.nanoTime() - taken);
    }

    static void checkTick(ByteBuffer b, int at, int i) {
        boolean right = b.getLong(at) == 0x59484354L && b.getInt(at + 20) == 0;
        expect(right && b.getLong(at + 24) == i, i);
    }

    /** Sums in locals: a field would be written back for each message. */
    static void consume() {
        ByteBuffer room = room(TICK * TICKS);
        long start = 0, qty = 0;
        double price = 0;
        int i = 0;
        try {
            for (;;) {
                int n = 1;
                RxBatchGuard batch = null;
                if (how.equals("single")) {
                    expect(bus.recv(room, wait) == TICK, i);
                } else if (how.equals("in_place")) {
                    batch = bus.drainBatch(TICKS, wait);
                    n = batch.getCount();
                } else {
                    n = bus.recvBatch(room, TICK, wait);
                }
                expect(batch != null || bus.getTypeId() == 7, i);
                if (i == 0) start = System.nanoTime();
                for (int k = 0; k < n; k++, i++) {
                    RxMsgView view = batch == null ? null : batch.get(k);
                    ByteBuffer data = view == null ? room : view.getData();
                    int at = view == null ? k * TICK : 0;
                    expect(view == null || view.getTypeId() == 7, i);
                    checkTick(data, at, i);
                    price += data.getDouble(at + 8);
                    qty += data.getInt(at + 16);
                }
                if (batch != null) batch.commit();
            }
        } catch (BusClosedException end) {
            report(i, qty, price, start);
        }
    }

    static byte[] reversed(ByteBuffer data) {
        byte[] bytes = new byte[data.remaining()];
        for (int j = 0; j < bytes.length; j++) bytes[j] = data.get(bytes.length - 1 - j);
        return bytes;
    }

    static void serve(int outstanding) {
        int capacity = number("capacity");
        TachyonRpcBus rpc = TachyonRpcBus.rpcListen(path, capacity, capacity, options());
        try {
            for (;;) {
                List<RpcRxGuard> requests = new ArrayList<>();
                while (requests.size() < outstanding) requests.add(rpc.serve(wait));
                if (KEYS.get("order").equals("reverse")) java.util.Collections.reverse(requests);
                for (RpcRxGuard r : requests) {
                    byte[] reply = reversed(r.getData());
                    rpc.reply(r.getCorrelationId(), reply, r.getMsgType() + 1, wait);
                    done++;
                }
            }
        } catch (TachyonException e) {
            System.out.printf("served %d%nerror %d%n", done, e.getCode());
        }
        rpc.close();
    }

    static void call(int outstanding, int cancel) throws Exception {
        TachyonRpcBus rpc = TachyonRpcBus.rpcConnect(path, options());
        int cancelled = 0;
        try {
            for (int first = 0; first < count; first += outstanding) {
                int last = Math.min(count, first + outstanding);
                long[] ids = new long[last - first];
                for (int i = first; i < last; i++)
                    ids[i - first] = rpc.call(message(i), typeOf(i), wait);
                for (int i = first; i < last; i++) {
                    if (cancel > 0 && (i + 1) % cancel == 0) {
                        rpc.cancel(ids[i - first]);
                        cancelled++;
                        continue;
                    }
                    RpcRxGuard reply = rpc.waitResponse(ids[i - first], wait);
                    boolean right = Arrays.equals(reversed(reply.getData()), message(i));
                    expect(right && reply.getMsgType() == typeOf(i) + 1, i);
                    done++;
                }
            }
            System.out.printf("answered %d%ncancelled %d%n", done, cancelled);
        } catch (TachyonException e) {
            System.out.printf("answered %d%nerror %d%n", done, e.getCode());
        }
        finish(rpc::abort, rpc::close);
    }

    static void ping() {
        TachyonBus back = TachyonBus.connect(path + "-back", options());
        ByteBuffer data = ByteBuffer.wrap(message(0));
        for (int i = 0; i < count; i++) {
            bus.send(data, 1, wait);
            expect(Arrays.equals(back.recv(wait), data.array()), i);
        }
        System.out.println("answered " + count);
    }

    static void ask() {
        TachyonRpcBus rpc = TachyonRpcBus.rpcConnect(path, options());
        byte[] data = message(0);
        ByteBuffer right = ByteBuffer.wrap(data);
        for (int i = 0; i < count; i++)
            expect(rpc.waitResponse(rpc.call(data, 1, wait), wait).getData().equals(right), i);
        System.out.println("answered " + count);
        rpc.close();
    }

    public static void main(String[] arguments) throws Exception {
        path = arguments[1];
        for (String word : Arrays.asList(arguments).subList(2, arguments.length)) {
            String[] pair = word.split("=", 2);
            if (KEYS.replace(pair[0], pair[pair.length - 1]) == null) {
                System.err.println("peer: " + word + "?");
                System.exit(2);
            }
        }
        how = KEYS.get("how");
        count = number("count");
        seed = number("seed");
        wait = time("wait");
        sizes = Arrays.stream(KEYS.get("size").split(",")).mapToInt(Integer::parseInt).toArray();
        try {
            switch (arguments[0]) {
                case "serve" -> serve(number("outstanding"));
                case "call" -> call(number("outstanding"), number("cancel"));
                case "ask" -> ask();
                default -> onBus(arguments[0]);
            }
        } catch (TachyonException e) { /* of opening, or in the middle of a measurement */
            System.out.println("error " + e.getCode());
            if (arguments[0].equals("meet")) System.out.println("why " + e.getMessage());
            if (done > 0 || List.of("produce", "consume").contains(arguments[0])) System.exit(1);
        }
    }
}
