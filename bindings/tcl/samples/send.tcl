# SPDX-License-Identifier: Apache-2.0
# send.tcl PATH [COUNT=10]: sends messages to recv.tcl, or to that of another language.
package require tachyon

lassign [list {*}$argv 10] path count
tachyon::Options options
options configure -timeout 10 ;# seconds to keep trying: recv may start later
tachyon::Bus bus
bus connect $path options
for {set i 0} {$i < $count} {incr i} {
    bus send "tick $i" 1
}
bus close ;# everything sent still arrives
puts "sent $count"
