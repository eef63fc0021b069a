// SPDX-License-Identifier: Apache-2.0
package samples.rpc_client

import dev.tachyon_ipc.Options
import dev.tachyon_ipc.RpcBus
import java.time.Duration
import kotlinx.coroutines.runBlocking

/** PATH WORD...: calls with each word. */
fun main(arguments: Array<String>) = runBlocking {
    val options = Options().apply { setTimeout(Duration.ofSeconds(10)) }
    RpcBus.connect(arguments[0], options).use { rpc ->
        for (word in arguments.drop(1)) {
            val reply = rpc.call(word.toByteArray(), 1)
            println("$word -> ${reply.data.decodeToString()}")
        }
    }
}
