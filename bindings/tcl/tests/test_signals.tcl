# SPDX-License-Identifier: Apache-2.0
# Asynchronous handlers, which TclX makes of signals, run while a call waits: one that fails
# ends it, one that does not lets it go on.
package require tachyon
if {[catch {package require Tclx}]} {
    puts "skipped: no Tclx (tclx8.4)"
    exit 77
}

proc check {right what} { if {![uplevel 1 [list expr $right]]} { error "wrong: $what" } }
proc beside {commands} { exec sh -c "($commands) > /dev/null 2>&1 &" }
proc signal_asleep {} { # as soon as this process, back from the shell, sleeps
    beside [string map "PID [pid]" {
        while [ -d /proc/$$ ]; do sleep 0.05; done
        until grep -q ^State:.S /proc/PID/status; do sleep 0.05; done
        kill -USR1 PID}]
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
signal_asleep
check {[catch {b recv} message options]} "not ended"
check {$message eq "from a handler"} $message
check {[dict get $options -errorcode] eq {MINE 5}} [dict get $options -errorcode]
check {[catch {b recv 0.05} message options]} "ended twice"
check {[lindex [dict get $options -errorcode] 1] eq "ERR_TIMEOUT"} $message
signal_asleep
check {[catch {a send_batch [string repeat . 10000] 1000} message options]} "not ended"
check {[dict get $options -errorcode] eq {MINE 5}} $message
set sent [a cget -count]
check {$sent > 0 && [string length [b recv_batch 1000]] == 1000 * $sent} "$sent sent"
a send x
check {[b recv] eq "x"} x

# They go on for ever: a wait that began anew at each would never end.
set seen 0
set last 0
signal -restart trap USR1 { if {[incr ::seen] == $::last} { a send late } }
beside "while kill -USR1 [pid]; do sleep 0.05; done"
while {$seen < 3} {
    set start [clock milliseconds]
    check {[catch {b recv 0.6} message options]} "not ended"
    set taken [expr {[clock milliseconds] - $start}]
    check {[lindex [dict get $options -errorcode] 1] eq "ERR_TIMEOUT"} $message
    check {$taken >= 600} "$seen signals in $taken ms"
}
set last [expr {$seen + 5}]
check {[b recv] eq "late"} late
