// SPDX-License-Identifier: Apache-2.0
/** Coroutines over the classes of bindings/java: what waits suspends, streams are flows. */
package dev.tachyon_ipc

import java.nio.ByteBuffer
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.INFINITE
import kotlin.time.Duration.Companion.ZERO
import kotlin.time.toJavaDuration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.runInterruptible

/** A copy of a message. */
class Message(val typeId: Int, val data: ByteArray) {
    val size get() = data.size
}

/** A copy of a request or a reply. */
class RpcMessage(val correlationId: Long, val msgType: Int, val data: ByteArray)

private fun java(timeout: Duration) = if (timeout.isInfinite()) null else timeout.toJavaDuration()

private fun ByteBuffer.bytes() = ByteArray(remaining()).also { get(0, it) }

/** Beside the 64 threads of Dispatchers.IO, which are for others: as many as calls wait. */
private val threads = Dispatchers.IO.limitedParallelism(Int.MAX_VALUE)

/**
 * At once where that can be, else on a thread that may sleep, which to cancel interrupts.
 * What the call has given when its coroutine is cancelled goes to `late`.
 */
private suspend fun <T> waiting(
    timeout: Duration, late: (T) -> Unit = {}, call: (java.time.Duration?) -> T,
): T {
    currentCoroutineContext().ensureActive() // behind the call nothing looks
    try {
        return call(java.time.Duration.ZERO)
    } catch (e: TachyonException) {
        val notYet = e.code == ErrorCode.ERR_FULL.swigValue() ||
            e.code == ErrorCode.ERR_EMPTY.swigValue()
        if (!notYet || timeout == ZERO) throw e
    }
    val given = ArrayList<T>(1)
    try {
        return runInterruptible(threads) {
            try {
                call(java(timeout)).also(given::add)
            } catch (e: BusInterruptedException) {
                throw InterruptedException(e.message)
            }
        }
    } catch (e: CancellationException) {
        given.forEach(late)
        throw e
    }
}

/**
 * What `next` gives, until the stream has ended. No flow { }, whose emit() would drop what
 * has been taken when the coroutine is cancelled.
 */
private fun <T> untilClosed(next: suspend () -> T) = object : Flow<T> {
    override suspend fun collect(collector: FlowCollector<T>) {
        while (true) {
            val message = try {
                next()
            } catch (e: BusClosedException) {
                break
            }
            collector.emit(message)
        }
    }
}

/** What comes one after the other, also behind a wait that was cancelled. */
private class Queue<T : Any>(val take: (java.time.Duration?) -> T) {
    private val late = ConcurrentLinkedQueue<T>()

    suspend fun next(timeout: Duration): T =
        waiting(timeout, { late.add(it) }) { late.poll() ?: take(it) }
}

/**
 * One end of a bus, for one coroutine at a time; any may close or abort it, or accept. With
 * `many` peers it copies what it receives, since each of them has a ring of its own.
 */
class Bus internal constructor(val java: TachyonBus, private val many: Boolean = false) :
    AutoCloseable by java {
    private val copies = Queue { java.recv(it).let { data -> Message(java.typeId, data) } }
    private val events = Queue(java::accept)

    suspend fun send(data: ByteArray, typeId: Int = 0, timeout: Duration = INFINITE) =
        waiting(timeout) { java.send(ByteBuffer.wrap(data), typeId, it) }

    /** The next message, which a cancelled wait does not lose. */
    suspend fun recv(timeout: Duration = INFINITE): Message =
        if (many) copies.next(timeout)
        else waiting(timeout) { java.acquireRx(it) }.use { Message(it.typeId, it.data.bytes()) }

    /** All messages; ends with the stream, when either end is closed. */
    fun receive(timeout: Duration = INFINITE): Flow<Message> = untilClosed { recv(timeout) }

    /** Lets peers in and out, and waits until one has come or gone; beside all else. */
    suspend fun accept(timeout: Duration = INFINITE): Event = events.next(timeout)

    /** Who comes and goes, until this end is closed. */
    fun events(): Flow<Event> = untilClosed { accept() }

    fun acquireTx(size: Long): TxGuard = java.acquireTx(size)

    fun acquireRx(spin: Int): RxGuard = java.acquireRx(spin)

    fun drainBatch(max: Int, spin: Int): RxBatchGuard = java.drainBatch(max, spin)

    fun flush() = java.flush()

    fun abort() = java.abort()

    companion object {
        fun listen(path: String, capacity: Long, options: Options = Options()) =
            Bus(TachyonBus.listen(path, capacity, options), options.maxPeers != 0)

        fun connect(path: String, options: Options? = null) =
            Bus(TachyonBus.connect(path, options))
    }
}

/** One end of a pair of rings, for one coroutine at a time. */
class RpcBus internal constructor(val java: TachyonRpcBus) : AutoCloseable by java {
    private val late = ArrayList<RpcMessage>() // of waits that were cancelled, for the next
    private val events = Queue(java::accept)

    private fun lately(id: Long) =
        late.firstOrNull { id == 0L || id == it.correlationId }?.also(late::remove)

    private fun message(copy: RpcRxGuard) =
        RpcMessage(copy.correlationId, copy.msgType, copy.data.bytes())

    private fun giveUp(id: Long) {
        lately(id) ?: runCatching { java.cancel(id) }
    }

    /** Sends a request; the id of its reply. One that is cancelled is given up. */
    suspend fun send(payload: ByteArray, msgType: Int = 0, timeout: Duration = INFINITE): Long =
        waiting(timeout, ::giveUp) { java.call(payload, msgType, it) }

    /** The reply, which a cancelled wait does not lose. */
    suspend fun waitResponse(id: Long, spin: Int = 10_000, timeout: Duration = INFINITE) =
        waiting(timeout, late::add) {
            java.look(spin)
            lately(id) ?: message(java.waitResponse(id, it))
        }

    /** Sends a request and waits for its reply; gives the call up when that fails. */
    suspend fun call(payload: ByteArray, msgType: Int = 0): RpcMessage {
        val id = send(payload, msgType)
        try {
            return waitResponse(id)
        } catch (e: Throwable) {
            giveUp(id)
            throw e
        }
    }

    /** All requests; ends with the stream. A flow that is cancelled loses none. */
    fun serve(spin: Int = 10_000, timeout: Duration = INFINITE): Flow<RpcMessage> = untilClosed {
        waiting(timeout, late::add) {
            java.look(spin)
            lately(0) ?: message(java.serve(it))
        }
    }

    /** Lets callers in and out, and waits until one has come or gone; beside all else. */
    suspend fun accept(timeout: Duration = INFINITE): Event = events.next(timeout)

    /** Who comes and goes, until this end is closed. */
    fun events(): Flow<Event> = untilClosed { accept() }

    suspend fun reply(
        id: Long, payload: ByteArray, msgType: Int = 0, timeout: Duration = INFINITE,
    ) = waiting(timeout) { java.reply(id, payload, msgType, it) }

    fun abort() = java.abort()

    companion object {
        fun listen(path: String, forward: Long, back: Long, options: Options = Options()) =
            RpcBus(TachyonRpcBus.rpcListen(path, forward, back, options))

        fun connect(path: String, options: Options? = null) =
            RpcBus(TachyonRpcBus.rpcConnect(path, options))
    }
}
