// SPDX-License-Identifier: Apache-2.0
import dev.tachyon_ipc.Options;
import dev.tachyon_ipc.RpcRxGuard;
import dev.tachyon_ipc.RxGuard;
import dev.tachyon_ipc.TachyonBus;
import dev.tachyon_ipc.TachyonRpcBus;
import dev.tachyon_ipc.TxGuard;
import java.nio.ByteBuffer;
import java.time.Duration;

/** Tachyon by its Java binding: a bus in each direction, or an RPC bus. */
final class Tachyon extends Link {
    private static final int LOOKS = 10_000;
    private TachyonBus out, in;
    private TachyonRpcBus rpc;
    private long id; /* of the call that is under way */
    private byte[] copy;

    Tachyon(Setting setting) {
        super(setting);
    }

    @Override
    void open() {
        Options options = new Options();
        options.setTimeout(Duration.ofSeconds(20));
        if (setting.rpc()) {
            String path = setting.directory() + "/rpc";
            long ring = setting.ringBytes();
            copy = new byte[setting.size()];
            rpc = setting.lead() ? TachyonRpcBus.rpcConnect(path, options)
                    : TachyonRpcBus.rpcListen(path, ring, ring, options);
            rpc.setPollingMode(setting.mode() == SPIN ? 1 : 0);
            return;
        }
        String forth = setting.directory() + "/forth", back = setting.directory() + "/back";
        if (setting.lead()) {
            out = TachyonBus.connect(forth, options);
            in = TachyonBus.listen(back, setting.ringBytes(), options);
        } else {
            in = TachyonBus.listen(forth, setting.ringBytes(), options);
            out = TachyonBus.connect(back, options);
        }
        out.setPollingMode(setting.mode() == SPIN ? 1 : 0);
        in.setPollingMode(setting.mode() == SPIN ? 1 : 0);
    }

    @Override
    void send(ByteBuffer message) {
        if (rpc == null) {
            out.send(message, 1, null);
            return;
        }
        message.get(0, copy);
        if (setting.lead()) id = rpc.call(copy, 1);
        else rpc.reply(id, copy, 1);
    }

    @Override
    void receive(ByteBuffer into) {
        if (rpc != null) {
            int looks = setting.mode() == SLEEP ? 0 : LOOKS;
            RpcRxGuard got = setting.lead() ? rpc.waitResponse(id, looks) : rpc.serve(looks);
            id = got.getCorrelationId();
            into.put(0, got.getData().array());
        } else if (setting.mode() == SLEEP) {
            try (RxGuard message = in.acquireRx(0)) {
                into.put(0, message.getData(), 0, setting.size());
            }
        } else {
            in.recv(into, null);
        }
    }

    @Override
    boolean hasBatches() {
        return true;
    }

    @Override
    void sendBatch(ByteBuffer items) {
        out.sendBatch(items, setting.size(), 1, null);
    }

    @Override
    int receiveBatch(ByteBuffer items) {
        return in.recvBatch(items, setting.size(), null);
    }

    @Override
    void sendInPlace(long number) {
        try (TxGuard room = out.acquireTx(setting.size(), null)) {
            write(room.getData(), 0, setting.size(), number);
            room.commit(setting.size(), 1);
        }
    }

    @Override
    long receiveInPlace() {
        try (RxGuard message = in.acquireRx(LOOKS)) {
            return read(message.getData(), 0, setting.size());
        }
    }

    @Override
    boolean hasRpc() {
        return true;
    }
}
