# SPDX-License-Identifier: Apache-2.0
# What a caller may get wrong is an error, and never the end of the process.
package require tachyon

set path @tachyon-tcl-guards-[pid]
set huge 9223372036854775807

proc pair {a b path} {
    tachyon::Bus $a
    tachyon::Bus $b
    $a listen_start $path 4096
    $b connect_start $path
    while {[$a open_step] + [$b open_step] < 2} {}
}
proc check {right what} { if {![uplevel 1 [list expr $right]]} { error "wrong: $what" } }

pair a b $path
tachyon::Bus unopened
tachyon::Bus closed
tachyon::RpcBus rpc
tachyon::Options options
closed close
closed close
a send warm 1
check {[b recv] eq "warm"} warm

# A command, and the error's code; 0: Tcl's own error.
set cases [subst {
    {closed listen $path 4096} 16 {closed connect $path} 16
    {a listen $path 4096} 18 {a connect $path} 18
    {unopened listen $path 5000} 8 {unopened listen $path $huge} 8
    {unopened listen {} 4096} 8 {unopened connect $path-nobody} 11
    {unopened connect a\0b} 8 {unopened listen a\0b 4096} 8 {a send x 1 NaN} 0
    {options set_types a\0b} 8 {options set_name a\0} 8 {options set_types} 0
    {unopened connect [string repeat x 200]} 8 {unopened listen $path -1} 0
    {unopened listen $path big} 0 {unopened listen $path 4096 a} 0
    {unopened connect $path 5} 0 {unopened connect} 0
    {a send [string repeat x 5000] 1 0} 8 {a send} 0 {a send x -1} 0
    {a send x 4294967296} 0 {a send x one} 0 {a send x 1 soon} 0 {a send x 1 0 0} 0
    {a send \u263a} 0
    {a send_batch xxx 2} 8 {a send_batch xx 0} 8 {a send_batch xx -1} 0
    {b recv 0} 10 {b recv 0.01} 17 {b recv soon} 0 {b recv {}} 0
    {b recv_batch 0} 8 {b recv_batch $huge $huge} 8 {b recv_batch 8 0} 8
    {b recv_batch -1} 0 {b take -1} 0
    {a reserve $huge 0} 8 {a commit 1} 10 {b release 5} 10 {b send x} 18
    {a set_numa_node -1} 8 {a set_numa_node 1099511627776} 0 {a nonsense} 0
    {a configure -error 1} 0 {tachyon::Bus_recv nothing} 0 {tachyon::Bus_recv rpc} 0
    {tachyon::Bus_recv _deadbeef_p_Bus2} 0
}]
foreach object {closed unopened} {
    foreach call {
        {send x} recv {send_batch xx 1} {recv_batch 1} flush {reserve 1} {commit 1} rollback
        acquire take release stats peer fileno max_payload {set_numa_node 0}
        {set_polling_mode 1} open_step
    } { lappend cases [concat $object $call] 16 }
}
foreach call {{call x} wait_for serve {reply 1 x} {cancel 1} stats peer fileno} {
    lappend cases [concat rpc $call] 16
}
foreach {command code} $cases {
    set failed [catch $command message options]
    check {$failed} "$command did not fail"
    set error [dict get $options -errorcode]
    if {$code} {
        set name TACHYON_[lindex $error 1]
        check {[lindex $error 0] eq "TACHYON" && [lindex $error 2] == $code} "$command: $error"
        check {$name eq [tachyon::error_name $code] && $message ne ""} $command
    } else {
        check {[lindex $error 0] ne "TACHYON"} "$command: $error"
    }
}

# After its end, an object is no more.
tachyon::Bus gone
gone -delete
check {[catch {gone recv 0}]} gone
rename unopened {}

# Every byte, and every bit of an integer.
for {set i 0} {$i <= 256} {incr i} { append all [binary format c $i] }
a send $all 4294967295
set got [b recv]
check {$got eq $all && [b cget -type_id] == 4294967295} bytes
a send {}
check {[b recv] eq ""} empty
foreach schema {18446744073709551615 9223372036854775808 9007199254740993} {
    options configure -schema $schema
    check {[options cget -schema] == $schema} $schema
}

# Deleted in any order, with a message that waits.
for {set round 0} {$round < 20} {incr round} {
    pair c d $path-$round
    c send x
    c -delete
    check {$round % 2 || [d recv] eq "x"} deleted
    d -delete
}
