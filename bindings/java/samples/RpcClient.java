// SPDX-License-Identifier: Apache-2.0
import dev.tachyon_ipc.Options;
import dev.tachyon_ipc.TachyonRpcBus;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** RpcClient PATH WORD...: calls with each word. */
final class RpcClient {
    public static void main(String[] arguments) {
        Options options = new Options();
        options.setTimeout(Duration.ofSeconds(10));
        try (TachyonRpcBus rpc = TachyonRpcBus.rpcConnect(arguments[0], options)) {
            for (int i = 1; i < arguments.length; i++) {
                long id = rpc.call(arguments[i].getBytes(StandardCharsets.UTF_8), 1);
                var reply = StandardCharsets.UTF_8.decode(rpc.waitResponse(id).getData());
                System.out.println(arguments[i] + " -> " + reply);
            }
        }
    }
}
