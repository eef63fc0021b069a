// SPDX-License-Identifier: Apache-2.0
package samples.rpc_server

import dev.tachyon_ipc.RpcBus
import kotlinx.coroutines.runBlocking

private fun upper(byte: Byte) = if (byte in 97..122) (byte - 32).toByte() else byte

/** PATH: answers each request with its text in upper case. */
fun main(arguments: Array<String>) = runBlocking {
    var served = 0
    RpcBus.listen(arguments[0], 1 shl 16, 1 shl 16).use { rpc ->
        rpc.serve().collect {
            rpc.reply(it.correlationId, it.data.map(::upper).toByteArray(), it.msgType)
            served++
        }
    }
    println("served $served")
}
