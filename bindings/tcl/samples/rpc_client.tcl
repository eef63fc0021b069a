# SPDX-License-Identifier: Apache-2.0
# rpc_client.tcl PATH WORD...: asks rpc_server.tcl, or that of another language.
package require tachyon

tachyon::Options options
options configure -timeout 10 ;# seconds to keep trying: the server may start later
tachyon::RpcBus rpc
rpc connect [lindex $argv 0] options
foreach word [lrange $argv 1 end] {
    set id [rpc call $word 1]
    puts "$word -> [rpc wait_for $id]"
}
rpc close
