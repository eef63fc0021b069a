# SPDX-License-Identifier: Apache-2.0
# rpc_server.tcl PATH: answers each request with its text in upper case.
package require tachyon

tachyon::RpcBus rpc
rpc listen [lindex $argv 0] 65536 65536 ;# one ring for requests, one for replies
set served 0
try {
    while 1 {
        set request [rpc serve]
        rpc reply [rpc cget -id] [string toupper $request] [rpc cget -type_id]
        incr served
    }
} trap {TACHYON ERR_CLOSED} {} {
    puts "served $served" ;# the client has finished
}
