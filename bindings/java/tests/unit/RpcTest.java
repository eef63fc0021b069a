// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class RpcTest {
    private static byte[] bytes(RpcRxGuard message) {
        byte[] data = new byte[message.getData().remaining()];
        message.getData().get(0, data);
        return data;
    }

    @Test
    void replies_come_to_their_calls_in_any_order() {
        try (Pair.Rpc rpc = Pair.Rpc.of(1 << 16)) {
            List<Long> ids = new ArrayList<>();
            for (int i = 0; i < 64; i++) ids.add(rpc.caller().call(new byte[] {(byte) i}, i));
            List<RpcRxGuard> requests = new ArrayList<>();
            for (int i = 0; i < 64; i++) requests.add(rpc.callee().serve(10_000));
            for (int i = 63; i >= 0; i--) {
                RpcRxGuard request = requests.get(i);
                assertEquals(i, request.getMsgType());
                request.commit();
                rpc.callee().reply(request.getCorrelationId(), bytes(request), i + 1);
            }
            for (int i = 0; i < 64; i++) {
                RpcRxGuard reply = rpc.caller().waitResponse(ids.get(i), 10_000);
                assertArrayEquals(new byte[] {(byte) i}, bytes(reply));
                assertEquals(i + 1, reply.getMsgType());
                assertEquals(ids.get(i), reply.getCorrelationId());
            }
            assertEquals(64, rpc.caller().stats().getCalls());
            assertEquals(0, rpc.caller().stats().getOutstanding());
        }
    }

    @Test
    void a_call_that_is_cancelled_is_no_longer_known() {
        try (Pair.Rpc rpc = Pair.Rpc.of(1 << 16)) {
            long id = rpc.caller().call(new byte[5000], 1);
            rpc.caller().cancel(id);
            assertThrows(TachyonException.class,
                    () -> rpc.caller().waitResponse(id, Duration.ZERO));
            assertThrows(TachyonException.class, () -> rpc.caller().cancel(id));
            assertThrows(TachyonException.class, () -> rpc.caller().waitResponse(12345));
            assertEquals(5000, bytes(rpc.callee().serve()).length);
        }
    }

    @Test
    void the_end_is_told() {
        try (Pair.Rpc rpc = Pair.Rpc.of(1 << 16)) {
            assertEquals(TachyonState.STATE_READY, rpc.callee().getState());
            rpc.caller().abort();
            assertThrows(BusAbortedException.class, () -> rpc.callee().serve());
            rpc.callee().close();
            rpc.callee().close();
            assertThrows(BusClosedException.class, () -> rpc.callee().serve());
            assertThrows(BusClosedException.class, () -> rpc.callee().reply(1, new byte[1], 1));
            assertThrows(BusClosedException.class, () -> rpc.caller().stats());
        }
    }
}
