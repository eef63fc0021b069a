# SPDX-License-Identifier: Apache-2.0
# Asynchronous handlers, which TclX makes of signals, run while a call waits: one that fails
# ends it, one that does not lets it go on.
package require tachyon
if {[catch {package require Tclx}]} {
    puts "skipped: no Tclx (tclx8.4)"
    exit 77
}

proc check {right what} { if {![uplevel 1 [list expr $right]]} { error "wrong: $what" } }
proc signals {first {each 0} {count 1}} {
    exec sh -c "sleep $first; for i in \$(seq $count); do kill -USR1 [pid]; sleep $each; done" \
        > /dev/null 2> /dev/null &
}
set path @tachyon-tcl-signals-[pid]
tachyon::Bus a
tachyon::Bus b
a listen_start $path 4096
b connect_start $path
while {[a open_step] + [b open_step] < 2} {}
a send x
check {[b recv] eq "x"} x

signal -restart trap USR1 { error "from a handler" {} {MINE 5} }
signals 0.3
check {[catch {b recv} message options]} "not ended"
check {$message eq "from a handler"} $message
check {[dict get $options -errorcode] eq {MINE 5}} [dict get $options -errorcode]
check {[catch {b recv 0.05} message options]} "ended twice"
check {[lindex [dict get $options -errorcode] 1] eq "ERR_TIMEOUT"} $message

set seen 0
signal -restart trap USR1 { if {[incr ::seen] == 8} { a send late } }
signals 0.1 0.05 5
set start [clock milliseconds]
check {[catch {b recv 0.6} message options]} "not ended"
set taken [expr {[clock milliseconds] - $start}]
check {[lindex [dict get $options -errorcode] 1] eq "ERR_TIMEOUT"} $message
check {$seen >= 3 && $taken >= 600 && $taken < 2000} "$seen signals in $taken ms"
set seen 0
signals 0.1 0.05 10
check {[b recv 10] eq "late"} late
