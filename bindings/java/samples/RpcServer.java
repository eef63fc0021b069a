// SPDX-License-Identifier: Apache-2.0
import dev.tachyon_ipc.BusClosedException;
import dev.tachyon_ipc.RpcRxGuard;
import dev.tachyon_ipc.TachyonRpcBus;

/** RpcServer PATH: answers each request with its text in upper case. */
final class RpcServer {
    public static void main(String[] arguments) {
        int served = 0;
        try (TachyonRpcBus rpc = TachyonRpcBus.rpcListen(arguments[0], 1 << 16, 1 << 16)) {
            for (;; served++) {
                RpcRxGuard request = rpc.serve();
                byte[] text = request.getData().array();
                for (int i = 0; i < text.length; i++)
                    if (text[i] >= 'a' && text[i] <= 'z') text[i] -= 'a' - 'A';
                rpc.reply(request.getCorrelationId(), text, request.getMsgType());
            }
        } catch (BusClosedException end) {
            System.out.println("served " + served);
        }
    }
}
