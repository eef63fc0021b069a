// SPDX-License-Identifier: Apache-2.0
/** The Kotlin peer of tests/interop, whose README.md has its rules. */
package peer

import dev.tachyon_ipc.Bus
import dev.tachyon_ipc.BusClosedException
import dev.tachyon_ipc.Options
import dev.tachyon_ipc.Role
import dev.tachyon_ipc.RpcBus
import dev.tachyon_ipc.RpcMessage
import dev.tachyon_ipc.TachyonException
import java.nio.ByteBuffer
import java.nio.ByteOrder.nativeOrder
import kotlin.system.exitProcess
import kotlin.time.Duration
import kotlin.time.Duration.Companion.ZERO
import kotlin.time.Duration.Companion.seconds
import kotlin.time.toJavaDuration
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking

private const val BATCH = 100
private const val TICK = 32
private const val TICKS = 1000
private val keys = mutableMapOf(
    "end" to "connect", "open" to "20", "capacity" to "65536", "schema" to "0",
    "role" to "0", "wait" to "20", "count" to "1", "size" to "32", "how" to "single",
    "seed" to "0", "finish" to "close", "outstanding" to "1", "order" to "in", "cancel" to "0",
    "types" to "", "required" to "0",
)
private var path = ""
private var count = 0
private var done = 0
private val how by lazy { keys["how"] }
private val sizes by lazy { keys.getValue("size").split(",").map(String::toInt) }
private val wait by lazy { keys.getValue("wait").toDouble().seconds }
private var room = ByteBuffer.allocateDirect(0)

private fun number(key: String) = keys.getValue(key).toInt()

private fun expect(right: Boolean, i: Int) {
    if (right) return
    println("wrong $i")
    exitProcess(1)
}

private fun typeOf(i: Int) = if (how == "batch") 1 else i % 7 + 1

private fun message(i: Int): ByteArray {
    val seed = number("seed")
    val size = sizes[(if (how == "batch") i / BATCH else i) % sizes.size]
    return ByteArray(size) { (31 * i + 7 * it + seed).toByte() }
}

private fun room(size: Int): ByteBuffer {
    if (room.capacity() < size) room = ByteBuffer.allocateDirect(size)
    return room.clear().limit(size).order(nativeOrder())
}

private fun options() = Options().apply {
    setTimeout(keys.getValue("open").toDouble().seconds.toJavaDuration())
    schema = keys.getValue("schema").toLong()
    role = Role.swigToEnum(number("role"))
    keys.getValue("types").let { if (it != "") setTypes(it) }
    typesRequired = number("required") == 1
}

private fun open() = when (keys["end"]) {
    "listen" -> Bus.listen(path, number("capacity").toLong(), options())
    else -> Bus.connect(path, options())
}

private fun finish(abort: () -> Unit, close: () -> Unit) {
    when (keys["finish"]) {
        "kill" -> ProcessBuilder("kill", "-9", "${ProcessHandle.current().pid()}").start().waitFor()
        "abort" -> abort()
        "close" -> close()
    }
}

private suspend fun send(bus: Bus, i: Int, wait: Duration): Int {
    val data = message(i)
    if (how == "batch") {
        val n = minOf(count - i, BATCH - i % BATCH)
        val items = room(n * data.size)
        for (k in i until i + n) items.put(message(k))
        return bus.java.sendBatch(items.flip(), data.size, 1, wait.toJavaDuration())
    }
    if (how == "in_place")
        bus.java.acquireTx(data.size.toLong(), wait.toJavaDuration()).use {
            it.data.put(data)
            it.commitUnflushed(data.size.toLong(), typeOf(i))
        }
    else bus.send(data, typeOf(i), wait)
    return 1
}

private suspend fun recv(bus: Bus, i: Int, wait: Duration): Int {
    if (how == "single") {
        val m = bus.recv(wait)
        expect(m.data.contentEquals(message(i)) && m.typeId == typeOf(i), i)
        return 1
    }
    if (how == "in_place")
        return bus.java.drainBatch(BATCH, wait.toJavaDuration()).use { batch ->
            batch.forEachIndexed { k, m ->
                val right = m.data == ByteBuffer.wrap(message(i + k))
                expect(right && m.typeId == typeOf(i + k), i + k)
            }
            batch.count
        }
    val size = message(i).size
    val n = bus.java.recvBatch(room((BATCH - i % BATCH) * size), size, wait.toJavaDuration())
    for (k in 0 until n)
        expect(room.slice(k * size, size) == ByteBuffer.wrap(message(i + k)), i + k)
    expect(bus.java.typeId == 1, i)
    return n
}

/** Steps on; the code of the error, or 0 when all is done. */
private suspend fun untilError(all: Int, step: suspend () -> Int): Int {
    done = 0
    return try {
        while (done < all) {
            val more = step() /* which may count by itself */
            done += more
        }
        0
    } catch (e: TachyonException) {
        e.code
    }
}

private fun printError(code: Int) {
    if (code != 0) println("error $code")
}

private fun flush(bus: Bus) {
    try {
        bus.flush()
    } catch (e: BusClosedException) { /* it says so later */ }
}

private suspend fun onBus(operation: String) {
    if (operation == "meet") println("ready")
    val bus = open()
    when (operation) {
        "open", "meet" -> println("opened")
        "send" -> {
            val error = untilError(count) { send(bus, done, wait) }
            flush(bus)
            println("sent $done")
            printError(error)
        }
        "recv" -> {
            val error = untilError(Int.MAX_VALUE) { recv(bus, done, wait) }
            println("received $done")
            printError(error)
            return bus.close()
        }
        "fill" -> {
            count = Int.MAX_VALUE
            val error = untilError(count) { send(bus, done, ZERO) }
            println("sent $done")
            printError(error)
            printError(untilError(1) { send(bus, done, wait) })
            flush(bus)
        }
        "drain" -> {
            println("ready")
            printError(untilError(1) { recv(bus, 0, ZERO) })
            printError(untilError(1) { recv(bus, 0, wait) })
        }
        "hold" -> {
            println("ready")
            Thread.sleep(Long.MAX_VALUE)
        }
        "misuse" -> {
            bus.close()
            bus.close()
            printError(untilError(1) { send(bus, 0, wait) })
            printError(untilError(1) { recv(bus, 0, wait) })
            flush(bus)
        }
        "produce" -> produce(bus)
        "consume" -> consume(bus)
        "ping" -> ping(bus)
        else -> exitProcess(2)
    }
    finish(bus::abort, bus::close)
}

private fun report(n: Int, qty: Long, price: Double, ns: Long) =
    println("count %d qty %d price %.2f ns %.1f".format(n, qty, price, ns.toDouble() / maxOf(n, 1)))

private fun putTick(b: ByteBuffer, at: Int, i: Int) {
    b.putLong(at, 0x59484354L).putDouble(at + 8, 100 + i * 0.25)
    b.putInt(at + 16, i % 1000).putInt(at + 20, 0).putLong(at + 24, i.toLong())
}

private suspend fun produce(bus: Bus) {
    val room = room(TICK * TICKS)
    val tick = ByteArray(TICK)
    val limit = wait.toJavaDuration()
    val start = System.nanoTime()
    when (how) {
        "single" -> for (i in 0 until count) {
            putTick(ByteBuffer.wrap(tick).order(nativeOrder()), 0, i)
            bus.send(tick, 7, wait)
        }
        "in_place" -> for (i in 0 until count) {
            val tx = bus.java.acquireTx(TICK.toLong(), limit)
            putTick(tx.data, 0, i)
            tx.commitUnflushed(TICK.toLong(), 7)
        }
        else -> for (first in 0 until count step TICKS) {
            val n = minOf(TICKS, count - first)
            for (k in 0 until n) putTick(room, k * TICK, first + k)
            expect(bus.java.sendBatch(room.limit(n * TICK), TICK, 7, limit) == n, first)
        }
    }
    bus.flush()
    val ns = System.nanoTime() - start
    var qty = 0L
    var price = 0.0
    for (i in 0 until count) {
        qty += i % 1000
        price += 100 + i * 0.25
    }
    report(count, qty, price, ns)
}

private suspend fun consume(bus: Bus) {
    val limit = wait.toJavaDuration()
    val room = room(TICK * TICKS)
    var start = 0L
    var i = 0
    var qty = 0L
    var price = 0.0
    fun add(b: ByteBuffer, at: Int) {
        if (i == 0) start = System.nanoTime()
        val right = b.getLong(at) == 0x59484354L && b.getInt(at + 20) == 0
        expect(right && b.getLong(at + 24) == i.toLong(), i)
        price += b.getDouble(at + 8)
        qty += b.getInt(at + 16)
        i++
    }
    try {
        when (how) {
            "single" -> bus.receive(wait).collect {
                expect(it.typeId == 7 && it.size == TICK, i)
                add(ByteBuffer.wrap(it.data).order(nativeOrder()), 0)
            }
            "in_place" -> while (true)
                bus.java.drainBatch(TICKS, limit).use { batch ->
                    for (k in 0 until batch.count) batch.get(k).let {
                        expect(it.typeId == 7, i)
                        add(it.data, 0)
                    }
                }
            else -> while (true) {
                val n = bus.java.recvBatch(room, TICK, limit)
                expect(bus.java.typeId == 7, i)
                for (k in 0 until n) add(room, k * TICK)
            }
        }
    } catch (e: BusClosedException) { /* the end */ }
    report(i, qty, price, System.nanoTime() - start)
}

private suspend fun serve(outstanding: Int) {
    val capacity = number("capacity").toLong()
    val rpc = RpcBus.listen(path, capacity, capacity, options())
    val error = untilError(Int.MAX_VALUE) {
        val requests: List<RpcMessage> = rpc.serve(timeout = wait).take(outstanding).toList()
        if (requests.size < outstanding) rpc.java.serve() /* the end: which of them? */
        for (r in if (keys["order"] == "reverse") requests.reversed() else requests) {
            rpc.reply(r.correlationId, r.data.reversedArray(), r.msgType + 1, wait)
            done++
        }
        0
    }
    println("served $done")
    printError(error)
    rpc.close()
}

private suspend fun call(outstanding: Int, cancel: Int) {
    val rpc = RpcBus.connect(path, options())
    var cancelled = 0
    val error = untilError(count) {
        val group = done + cancelled until minOf(count, done + cancelled + outstanding)
        val ids = group.map { rpc.send(message(it), typeOf(it), wait) }
        for ((i, id) in group.zip(ids)) {
            if (cancel > 0 && (i + 1) % cancel == 0) {
                rpc.java.cancel(id)
                cancelled++
                continue
            }
            val reply = rpc.waitResponse(id, timeout = wait)
            expect(reply.data.reversedArray().contentEquals(message(i)), i)
            expect(reply.msgType == typeOf(i) + 1, i)
            done++
        }
        if (done + cancelled >= count) count - done else 0
    }
    println("answered ${if (error == 0) count - cancelled else done}")
    if (error == 0) println("cancelled $cancelled") else println("error $error")
    finish(rpc::abort, rpc::close)
}

private suspend fun ping(bus: Bus) {
    val back = Bus.connect("$path-back", options())
    val data = message(0)
    for (i in 0 until count) {
        bus.send(data, 1, wait)
        expect(back.recv(wait).data.contentEquals(data), i)
    }
    println("answered $count")
}

private suspend fun ask() = RpcBus.connect(path, options()).use { rpc ->
    val data = message(0)
    for (i in 0 until count) expect(rpc.call(data, 1).data.contentEquals(data), i)
    println("answered $count")
}

fun main(arguments: Array<String>) = runBlocking {
    val operation = arguments[0]
    path = arguments[1]
    for (word in arguments.drop(2)) {
        val (key, value) = word.split("=", limit = 2)
        if (keys.put(key, value) == null) {
            System.err.println("peer: $word?")
            exitProcess(2)
        }
    }
    count = number("count")
    try {
        when (operation) {
            "serve" -> serve(number("outstanding"))
            "call" -> call(number("outstanding"), number("cancel"))
            "ask" -> ask()
            else -> onBus(operation)
        }
    } catch (e: TachyonException) { /* of opening, or in the middle of a measurement */
        println("error ${e.code}")
        if (operation == "meet") println("why ${e.message}")
        if (operation in setOf("produce", "consume")) exitProcess(1)
    }
}
