// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;

/** Both ends of a bus in this process. */
record Pair(TachyonBus tx, TachyonBus rx) implements AutoCloseable {
    private static final AtomicInteger COUNT = new AtomicInteger();
    static final Duration SOON = Duration.ofMillis(50), LONG = Duration.ofSeconds(20);

    static String path() {
        return "@java-" + ProcessHandle.current().pid() + "-" + COUNT.incrementAndGet();
    }

    static Options options(Duration timeout) {
        Options options = new Options();
        options.setTimeout(timeout);
        return options;
    }

    static Pair of(long capacity) {
        String path = path();
        var rx = CompletableFuture.supplyAsync(() -> TachyonBus.listen(path, capacity));
        return new Pair(TachyonBus.connect(path, options(Duration.ofSeconds(60))), rx.join());
    }

    /** A caller and the one that serves it. */
    record Rpc(TachyonRpcBus caller, TachyonRpcBus callee) implements AutoCloseable {
        static Rpc of(long capacity) {
            String path = path();
            var callee = CompletableFuture.supplyAsync(
                    () -> TachyonRpcBus.rpcListen(path, capacity, capacity));
            return new Rpc(TachyonRpcBus.rpcConnect(path, options(LONG)), callee.join());
        }

        @Override
        public void close() {
            caller.close();
            callee.close();
        }
    }

    @Override
    public void close() {
        tx.close();
        rx.close();
    }
}
