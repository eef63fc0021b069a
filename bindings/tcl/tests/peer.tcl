# SPDX-License-Identifier: Apache-2.0
# The peer program; tests/interop/README.md says what it does.
package require tachyon

fconfigure stdout -buffering line
set words [lassign $argv operation path]
array set key {
    end connect open 20 capacity 65536 schema 0 role 0 wait 20 count 1 size 32 how single
    seed 0 finish close outstanding 1 order in cancel 0 types {} required 0
}
foreach word $words {
    regexp {^(\w+)=(.*)$} $word -> name value
    if {![info exists key($name)]} { exit 2 }
    set key($name) $value
}
set ticks [expr {$operation in {produce consume}}]
set batch [expr {$key(how) eq "batch" ? $ticks ? 1000 : 100 : 0}]
set sizes [expr {$ticks ? 32 : [split $key(size) ,]}]
# Every message is a piece of the same bytes: 7 * 183 is 1 modulo 256.
for {set j 0} {$j < 256} {incr j} { append cycle [binary format c [expr {7 * $j}]] }
set bytes [string repeat $cycle [expr {[tcl::mathfunc::max {*}$sizes] / 256 + 2}]]

proc size_of i {
    global batch sizes
    lindex $sizes [expr {($batch ? $i / 100 : $i) % [llength $sizes]}]
}
proc type_of i {
    global batch ticks
    expr {$ticks ? 7 : $batch ? 1 : $i % 7 + 1}
}
proc message i {
    global ticks bytes key
    if {$ticks} {
        return [binary format a8diiw TCHY [expr {100 + $i * 0.25}] [expr {$i % 1000}] 0 $i]
    }
    set from [expr {(31 * $i + $key(seed)) * 183 & 255}]
    string range $bytes $from [expr {$from + [size_of $i] - 1}]
}
proc stop line {
    puts $line
    exit 1
}
proc failure script { # the error's code, or nothing
    try { uplevel 1 $script } trap TACHYON {::why options} {
        return [lindex [dict get $options -errorcode] 2]
    }
    return
}
proc finish bus {
    global key
    switch $key(finish) {
        kill { exec kill -KILL [pid] }
        leave {}
        default { $bus $key(finish) }
    }
}
proc send_from {bus i count wait} { # what comes next, and the error's code
    global batch
    set code [failure {
        while {$i < $count} {
            if {$batch} {
                set items ""
                set end [expr {min($i - $i % $batch + $batch, $count)}]
                for {set k $i} {$k < $end} {incr k} { append items [message $k] }
                incr i [$bus send_batch $items [size_of $i] [type_of $i] $wait]
            } else {
                $bus send [message $i] [type_of $i] $wait
                incr i
            }
        }
    }]
    list $i $code
}
proc receive {bus i} {
    global batch key
    if {!$batch} { return [$bus recv $key(wait)] }
    $bus recv_batch [size_of $i] [expr {$batch - $i % $batch}] $key(wait)
}
proc report {count qty price us} {
    set ns [expr {$us * 1000.0 / $count}]
    puts [format "count %d qty %d price %.2f ns %.1f" $count $qty $price $ns]
}

proc run_open bus {
    puts opened
    finish $bus
}
proc run_send bus {
    global key
    lassign [send_from $bus 0 $key(count) $key(wait)] sent code
    failure { $bus flush }
    puts "sent $sent"
    if {$code ne ""} { puts "error $code" }
    finish $bus
}
proc run_recv bus {
    global batch
    set i 0
    set code [failure {
        while 1 {
            set data [receive $bus $i]
            set size [expr {$batch ? [size_of $i] : [string length $data]}]
            for {set at 0} {$at <= [string length $data] - $size} {incr at [expr {max($size, 1)}]} {
                set item [string range $data $at [expr {$at + $size - 1}]]
                if {$item ne [message $i] || [$bus cget -type_id] != [type_of $i]} {
                    stop "wrong $i"
                }
                incr i
            }
        }
    }]
    puts "received $i\nerror $code"
    $bus close
}
proc run_fill bus {
    global key
    lassign [send_from $bus 0 1e9 0] sent full
    lassign [send_from $bus $sent [expr {$sent + 1}] $key(wait)] _ late
    puts "sent $sent\nerror $full\nerror $late"
    $bus flush
    finish $bus
}
proc run_drain bus {
    global key
    puts ready
    foreach wait [list 0 $key(wait)] { puts "error [failure { $bus recv $wait }]" }
    $bus close
}
proc run_hold bus {
    puts ready
    after 1000000
}
proc run_misuse bus {
    $bus close
    $bus close
    tachyon::Bus unopened
    foreach object [list $bus unopened] {
        puts "error [failure { $object send x }]"
        puts "error [failure { $object recv }]"
        failure { $object flush }
    }
}
proc run_serve rpc {
    global key
    set served 0
    set code [failure {
        while 1 {
            set requests {}
            while {[llength $requests] < $key(outstanding)} {
                set data [string reverse [$rpc serve $key(wait)]]
                set type [expr {[$rpc cget -type_id] + 1}]
                lappend requests [list [$rpc cget -id] $data $type $key(wait)]
            }
            if {$key(order) eq "reverse"} { set requests [lreverse $requests] }
            foreach request $requests {
                $rpc reply {*}$request
                incr served
            }
        }
    }]
    puts "served $served\nerror $code"
    $rpc close
}
proc run_call rpc {
    global key
    set answered 0
    set cancelled 0
    set code [failure {
        for {set next 0} {$next < $key(count)} {incr next $key(outstanding)} {
            set ids {}
            for {set i $next} {$i < min($next + $key(outstanding), $key(count))} {incr i} {
                dict set ids $i [$rpc call [message $i] [type_of $i] $key(wait)]
            }
            dict for {i id} $ids {
                if {$key(cancel) && ($i + 1) % $key(cancel) == 0} {
                    $rpc cancel $id
                    incr cancelled
                } else {
                    set reply [$rpc wait_for $id $key(wait)]
                    set type [expr {[type_of $i] + 1}]
                    if {$reply ne [string reverse [message $i]] || [$rpc cget -type_id] != $type} {
                        stop "wrong $i"
                    }
                    incr answered
                }
            }
        }
    }]
    puts "answered $answered\n[expr {$code ne "" ? "error $code" : "cancelled $cancelled"}]"
    finish $rpc
}
proc run_produce bus {
    global key batch
    set start [clock microseconds]
    if {$batch} {
        lassign [send_from $bus 0 $key(count) $key(wait)] _ code
    } else { # as a program would
        lassign [list $key(count) $key(wait)] count wait
        set code [failure {
            for {set i 0} {$i < $count} {incr i} {
                $bus send [binary format a8diiw TCHY [expr {100 + $i * 0.25}] \
                    [expr {$i % 1000}] 0 $i] 7 $wait
            }
        }]
    }
    if {$code ne ""} { stop "error $code" }
    $bus flush
    set us [expr {[clock microseconds] - $start}]
    set qty 0
    set price 0.0
    for {set i 0} {$i < $key(count)} {incr i} {
        incr qty [expr {$i % 1000}]
        set price [expr {$price + 100 + $i * 0.25}]
    }
    report $key(count) $qty $price $us
    $bus close
}
proc run_consume bus {
    set count 0
    set qty 0
    set price 0.0
    set code [failure {
        while 1 {
            set data [receive $bus $count]
            if {!$count} { set start [clock microseconds] }
            for {set at 0} {$at < [string length $data]} {incr at 32} {
                binary scan $data @${at}a4x4diiw symbol p q pad ts
                if {$symbol ne "TCHY" || $pad || $ts != $count} { stop "wrong $count" }
                incr count
                incr qty $q
                set price [expr {$price + $p}]
            }
        }
    }]
    set us [expr {[clock microseconds] - $start}]
    if {$code != $::tachyon::ERR_CLOSED} { stop "error $code" }
    report $count $qty $price $us
    $bus close
}

proc answered {bus last} {
    global key
    if {$last ne [message 0]} { stop "wrong [expr {$key(count) - 1}]" }
    puts "answered $key(count)"
    $bus close
}
proc run_ping bus {
    global key path
    tachyon::Bus back
    back connect $path-back options
    lassign [list [message 0] $key(count) $key(wait)] data count wait
    for {set i 0} {$i < $count} {incr i} {
        $bus send $data 1 $wait
        set last [back recv $wait]
    }
    answered $bus $last
}
proc run_ask rpc {
    global key
    lassign [list [message 0] $key(count) $key(wait)] data count wait
    for {set i 0} {$i < $count} {incr i} {
        set last [$rpc wait_for [$rpc call $data 1 $wait] $wait]
    }
    answered $rpc $last
}

set rpc [expr {$operation in {serve call ask}}]
if {$rpc} { tachyon::RpcBus bus } else { tachyon::Bus bus }
tachyon::Options options
options configure -timeout $key(open) -schema $key(schema) -role $key(role) \
    -types_required $key(required)
if {$key(types) ne ""} { options set_types $key(types) }
set meets [expr {$operation eq "meet"}]
if {$meets} { puts ready }
set capacities [lrepeat [expr {$rpc + 1}] $key(capacity)]
set code [failure {
    if {$operation eq "serve" || !$rpc && $key(end) eq "listen"} {
        bus listen $path {*}$capacities options
    } else {
        bus connect $path options
    }
}]
if {$code eq ""} {
    run_[expr {$meets ? "open" : $operation}] bus
} else {
    puts "error $code[expr {$meets ? "\nwhy $why" : ""}]"
}
