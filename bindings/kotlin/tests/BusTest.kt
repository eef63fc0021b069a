// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc

import java.time.Duration as JavaDuration
import java.util.concurrent.CompletableFuture
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.ZERO
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.coroutines.yield
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout

private val paths = AtomicInteger()

private fun path() = "@kotlin-${ProcessHandle.current().pid()}-${paths.incrementAndGet()}"

private fun patient() = Options().apply { setTimeout(JavaDuration.ofSeconds(20)) }

private fun buses(): Pair<Bus, Bus> {
    val path = path()
    val rx = CompletableFuture.supplyAsync { Bus.listen(path, 4096) }
    return Bus.connect(path, patient()) to rx.join()
}

private fun rpcBuses(): Pair<RpcBus, RpcBus> {
    val path = path()
    val callee = CompletableFuture.supplyAsync { RpcBus.listen(path, 4096, 4096) }
    return RpcBus.connect(path, patient()) to callee.join()
}

/** All on one thread, in which nothing may block. */
@Timeout(30)
internal class BusTest {
    @Test
    fun `a stream larger than the ring flows to its end`() = runBlocking {
        val (tx, rx) = buses()
        launch {
            for (i in 0 until 1000) tx.send(ByteArray(100) { i.toByte() }, i)
            tx.close()
        }
        val messages = rx.receive().toList()
        assertEquals((0 until 1000).toList(), messages.map { it.typeId })
        assertTrue(messages.all { it.size == 100 && it.data[99] == it.typeId.toByte() })
        rx.close()
    }

    @Test
    fun `a cancelled receive ends soon and loses nothing`() = runBlocking {
        val (tx, rx) = buses()
        for (i in 0 until 100) {
            val job = launch { rx.recv() }
            if (i % 2 == 0) delay(1.milliseconds)
            job.cancelAndJoin()
        }
        assertThrows(TimeoutCancellationException::class.java) {
            runBlocking { withTimeout(50.milliseconds) { rx.receive().toList() } }
        }
        assertFalse(Thread.currentThread().isInterrupted)
        tx.send(byteArrayOf(7), 3)
        assertArrayEquals(byteArrayOf(7), rx.recv().data)
        tx.close()
        rx.close()
    }

    @Test
    fun `a cancelled send leaves a bus that works`() = runBlocking {
        val (tx, rx) = buses()
        var sent = 0
        withTimeoutOrNull(100.milliseconds) { while (true) { tx.send(ByteArray(100)); sent++ } }
        assertTrue(sent > 10)
        assertEquals(sent, rx.receive().take(sent).toList().size)
        tx.send(ByteArray(1))
        assertEquals(1, rx.recv().size)
    }

    @Test
    fun `errors are exceptions, the end is the end of the flow`() = runBlocking<Unit> {
        val (tx, rx) = buses()
        assertThrows(BusTimeoutException::class.java) { runBlocking { rx.recv(20.milliseconds) } }
        val e = assertThrows(TachyonException::class.java) { runBlocking { rx.recv(ZERO) } }
        assertEquals("TACHYON_ERR_EMPTY", e.name)
        tx.abort()
        assertThrows(BusAbortedException::class.java) { runBlocking { rx.receive().toList() } }
        rx.close()
        assertEquals(listOf<Message>(), rx.receive().toList())
        assertThrows(BusClosedException::class.java) { runBlocking { tx.send(ByteArray(1)) } }
    }

    @Test
    fun `what the collector throws is not taken for the end`() {
        val (tx, rx) = buses()
        runBlocking { tx.send(ByteArray(1)) }
        val own = BusClosedException("the collector's own")
        val e = assertThrows(BusClosedException::class.java) {
            runBlocking { rx.receive().map { throw own }.toList() }
        }
        assertEquals(own.message, e.message)
    }

    @Test
    fun `calls are answered, and given up with their coroutine`() = runBlocking {
        val (caller, callee) = rpcBuses()
        val server = async {
            var served = 0
            callee.serve().collect {
                if (it.msgType != 99) callee.reply(it.correlationId, it.data.reversedArray(), 5)
                served++
            }
            served
        }
        for (i in 0 until 10) {
            val reply = caller.call(byteArrayOf(1, i.toByte()), i)
            assertArrayEquals(byteArrayOf(i.toByte(), 1), reply.data)
            assertEquals(5, reply.msgType)
        }
        val unanswered = launch { caller.call(ByteArray(1), 99) }
        delay(50.milliseconds)
        unanswered.cancelAndJoin()
        assertEquals(0, caller.java.stats().outstanding)
        caller.close()
        assertEquals(11, server.await())
    }

    /** The thread that waits gets it, while this one, which is its coroutine's, does not look. */
    private suspend fun cancelledAt(wait: suspend () -> Unit, there: () -> Boolean) =
        coroutineScope {
            val job = launch { wait() }
            yield()
            while (!there()) Thread.sleep(1)
            job.cancelAndJoin()
        }

    @Test
    fun `what comes while a wait is cancelled is there for the next`() = runBlocking {
        val (caller, callee) = rpcBuses()
        var id = 0L
        cancelledAt({ callee.serve().toList() }) {
            if (id == 0L) id = caller.java.call(byteArrayOf(1), 7)
            callee.java.stats().calls == 1L
        }
        val request = callee.serve().first()
        assertEquals(id to 7, request.correlationId to request.msgType)
        var replied = false
        cancelledAt({ caller.waitResponse(id) }) {
            if (!replied) callee.java.reply(id, byteArrayOf(2), 8)
            replied = true
            caller.java.stats().replies == 1L
        }
        assertArrayEquals(byteArrayOf(2), caller.waitResponse(id).data)
        cancelledAt({ caller.call(ByteArray(1)) }) {
            runCatching { callee.java.serve(JavaDuration.ZERO) }
                .onSuccess { callee.java.reply(it.correlationId, ByteArray(1), 0) }
            caller.java.stats().replies == 2L
        }
        assertThrows(TachyonException::class.java) { runBlocking { caller.waitResponse(0, 1, ZERO) } }
        caller.close()
        callee.close()
    }

    @Test
    fun `a call is given up that was cancelled while it was sent`() = runBlocking {
        val (caller, callee) = rpcBuses()
        var calls = 0L
        assertThrows(BufferFullException::class.java) {
            while (true) { caller.java.call(ByteArray(100), 1, JavaDuration.ZERO); calls++ }
        }
        cancelledAt({ caller.call(ByteArray(100)) }) {
            if (callee.java.stats().calls < calls) callee.java.serve(JavaDuration.ZERO)
            caller.java.stats().calls > calls
        }
        assertEquals(calls, caller.java.stats().outstanding.toLong())
        caller.close()
        callee.close()
    }

    @Test
    fun `a flow that is cancelled takes no further message`() = runBlocking {
        val (tx, rx) = buses()
        for (i in 0 until 3) tx.send(ByteArray(1), i)
        launch { rx.receive().collect { cancel() } }.join()
        assertEquals(1, rx.recv().typeId)
        tx.close()
        rx.close()
    }

    @Test
    fun `buses that wait leave the threads of Dispatchers IO to others`() = runBlocking {
        val all = List(70) { buses() }
        val waits = all.map { (_, rx) -> launch { rx.receive().toList() } }
        yield()
        assertEquals(1, withTimeout(10_000.milliseconds) { withContext(Dispatchers.IO) { 1 } })
        for ((tx, _) in all) tx.close()
        waits.joinAll()
        for ((_, rx) in all) rx.close()
    }

    @Test
    fun `guards and batches are those of Java`() {
        val (tx, rx) = buses()
        for (i in 0L until 3L) tx.acquireTx(8).use {
            it.data.putLong(i)
            it.commitUnflushed(8, TypeId.of(1, 2))
        }
        tx.flush()
        rx.acquireRx(10).use { assertEquals(0, it.data.getLong()) }
        rx.drainBatch(10, 10).use { batch ->
            assertEquals(listOf(1L, 2L), batch.map { it.data.getLong() })
        }
        assertThrows(CancellationException::class.java) {
            runBlocking { withTimeout(20.milliseconds) { rx.recv() } }
        }
    }

    private fun many(of: Role) = Options().apply {
        role = of
        maxPeers = 4
    }

    private suspend fun Bus.joined(path: String, called: String): Bus = coroutineScope {
        val options = patient().apply { setName(called) }
        val peer = async(Dispatchers.IO) { Bus.connect(path, options) }
        val event = accept(20.seconds)
        assertEquals(EventKind.EVENT_JOINED, event.kind)
        assertEquals(called, event.name)
        peer.await()
    }

    @Test
    fun `many producers send to one consumer`() = runBlocking<Unit> {
        val path = path()
        val rx = Bus.listen(path, 4096, many(Role.ROLE_CONSUMER))
        val peers = listOf("a", "b").map { rx.joined(path, it) }
        val numbers = rx.java.peers().associate { it.peer to it.name }
        val events = async { rx.events().take(2).toList() }
        for (i in 0 until 20) peers.forEach { it.send(byteArrayOf(i.toByte())) }
        val got = ArrayList<Pair<String?, Int>>()
        rx.receive().take(40).collect { got += numbers[rx.java.sender()] to it.data[0].toInt() }
        for (name in listOf("a", "b")) {
            val own = got.filter { it.first == name }
            assertEquals((0 until 20).toList(), own.map { it.second })
        }
        var sent = false
        cancelledAt({ rx.recv() }) {
            if (!sent) peers[0].java.send(byteArrayOf(7), 1)
            sent = true
            rx.java.stats().messages > 40L
        }
        assertEquals(7, rx.recv().data[0])
        peers.forEach { it.close() }
        assertThrows(BusTimeoutException::class.java) {
            runBlocking { rx.recv(50.milliseconds) }
        }
        assertEquals(List(2) { EventKind.EVENT_LEFT }, events.await().map { it.kind })
        rx.close()
        assertEquals(listOf<Event>(), rx.events().toList())
        assertThrows(BusClosedException::class.java) { runBlocking { rx.accept() } }
    }

    @Test
    fun `a cancelled accept leaves the receiver alone`() = runBlocking {
        val path = path()
        val rx = Bus.listen(path, 4096, many(Role.ROLE_CONSUMER))
        val receiving = async { rx.recv() }
        repeat(10) {
            val accepting = launch { rx.accept() }
            delay(5)
            accepting.cancelAndJoin()
            assertTrue(receiving.isActive)
        }
        assertThrows(BusTimeoutException::class.java) {
            runBlocking { rx.accept(20.milliseconds) }
        }
        rx.joined(path, "").use {
            it.send("still".toByteArray())
            assertEquals("still", receiving.await().data.decodeToString())
        }
        rx.close()
    }

    @Test
    fun `one callee has many callers`() = runBlocking {
        val path = path()
        val callee = RpcBus.listen(path, 4096, 4096, Options().apply { maxPeers = 2 })
        val connecting = async(Dispatchers.IO) { List(2) { RpcBus.connect(path, patient()) } }
        val numbers = callee.events().take(2).toList().map { it.peer }
        val callers = connecting.await()
        val serving = launch {
            callee.serve().collect { callee.reply(it.correlationId, it.data, callee.java.sender()) }
        }
        assertEquals(numbers, callers.map { it.call(byteArrayOf(1)).msgType })
        callers.forEach { it.close() }
        assertEquals(EventKind.EVENT_LEFT, callee.accept(20.seconds).kind)
        callee.close()
        serving.join()
    }
}
