# SPDX-License-Identifier: Apache-2.0
# recv.tcl PATH: prints the messages of send.tcl, or of that of another language.
package require tachyon

tachyon::Bus bus
bus listen [lindex $argv 0] 65536
set received 0
try {
    while 1 {
        set data [bus recv]
        incr received
        puts "type [bus cget -type_id]: $data"
    }
} trap {TACHYON ERR_CLOSED} {} {
    puts "received $received" ;# the end of the stream
}
