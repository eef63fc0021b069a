// SPDX-License-Identifier: Apache-2.0
package samples.send

import dev.tachyon_ipc.Bus
import dev.tachyon_ipc.Options
import java.time.Duration
import kotlinx.coroutines.runBlocking

/** PATH [COUNT]: messages of type 1 to whoever listens there. */
fun main(arguments: Array<String>) = runBlocking {
    val count = arguments.getOrNull(1)?.toInt() ?: 10
    val options = Options().apply { setTimeout(Duration.ofSeconds(10)) }
    Bus.connect(arguments[0], options).use { bus ->
        for (i in 0 until count) bus.send("tick $i".toByteArray(), 1)
    }
    println("sent $count")
}
