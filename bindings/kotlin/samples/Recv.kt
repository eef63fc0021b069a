// SPDX-License-Identifier: Apache-2.0
package samples.recv

import dev.tachyon_ipc.Bus
import kotlinx.coroutines.runBlocking

/** PATH: prints each message until the sender closes. */
fun main(arguments: Array<String>) = runBlocking {
    var received = 0
    Bus.listen(arguments[0], 1 shl 16).use { bus ->
        bus.receive().collect {
            println("type ${it.typeId}: ${it.data.decodeToString()}")
            received++
        }
    }
    println("received $received")
}
