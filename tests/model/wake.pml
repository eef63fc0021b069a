/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleep, wake, close and crash of one ring, both directions: the consumer sleeps for
 * data, the producer for room (core/src/link.c, ring.h). A lost wake-up is a deadlock,
 * which Spin reports as an invalid end state; a lost message fails an assertion.
 *
 * Memory: -DSC stores at once. Otherwise TSO: each process has a FIFO store buffer that
 * drains at any time (x86). -DWEAK: a store in it overtakes those before it, unless it is
 * of the same word or a release, as on ARM; and the payload is a word of its own. Loads
 * are not reordered: docs/ARCHITECTURE.md says for each why that is enough.
 * Order:  -DMEMBARRIER: the waker has no fence, the sleeper's membarrier drains both
 * buffers. Otherwise both sides have a fence.
 * Wait:   in ppoll() by the library itself, or -DEVENT_LOOP: in the caller's loop, which
 * polls after the library has armed the descriptor (ty_link_arm()).
 * Crash:  -DCRASH_PRODUCER, -DCRASH_CONSUMER: SIGKILL at any step.
 * Abort:  -DABORT_PRODUCER, -DABORT_CONSUMER: tachyon_bus_abort() at any step.
 * MUTANT: one deliberate fault each; the verifier must find it.
 *   1 the waker has no order            2 the sleeper has no order
 *   3 no second look before sleeping    4 the waker looks before it publishes
 *   5 the waker answers a position that is not reached yet
 *   6 bytes are taken between the second look and ppoll, not after it
 *   7 an end that is noticed is not followed by a last look
 *   8 the peer's end does not wake      9 close does not flush
 *   10 an event loop's bytes are taken after the second look, not before
 *   11 what an event loop waits for is said once, not for each position
 *   12 an abort overtakes what was flushed
 *   13 any farewell is taken for an orderly one
 *   14 the hang-up is looked at before the farewell
 *   15 an aborted end says bye after all when it is destroyed, and the last word counts
 *   16 the publication is not a release: only -DWEAK can tell
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef MESSAGES
#define MESSAGES 3 /* one more than fits, so that both ends sleep */
#endif
#define ROOM 2
#ifndef SPURIOUS
#define SPURIOUS 2 /* time-outs, signals */
#endif

#define P 0
#define C 1
#define PUBLISHED 0
#define WANTED_TAIL 1
#define TAIL 2
#define WANTED_HEAD 3
#define PAYLOAD 4

byte memory[5];
byte bytes_to[2];   /* wake-ups in the socket, by receiver */
#define ALIVE 0
#define CLOSED 1
#define ABORTED 2
#define DEAD 3
byte farewell[2];   /* sent by ...: ALIVE, CLOSED or ABORTED */
bool gone[2];       /* hang-up: the kernel has closed the socket of ... */
bool crash[2], abort[2];
byte spurious = SPURIOUS;
byte flushed; /* messages whose flush has returned, for the assertions */

#ifdef SC
#define STORE(who, word, value) memory[word] = value
#define FENCE(who) skip
#define DRAIN(who) skip
#else
#ifdef WEAK
#define DEPTH 4
#else
#define DEPTH 3
#endif
typedef Buffer { byte word[DEPTH]; byte value[DEPTH]; byte count };
Buffer buffer[2];

#define STORE(who, w, v) \
    atomic { \
        buffer[who].count < DEPTH; \
        buffer[who].word[buffer[who].count] = w; \
        buffer[who].value[buffer[who].count] = v; \
        buffer[who].count++ \
    }
inline drain_one(who) {
    drain_at(who, 0)
}
inline drain_at(who, at) {
    memory[buffer[who].word[at]] = buffer[who].value[at];
    shift(who, at, 0);
    shift(who, at, 1);
#ifdef WEAK
    shift(who, at, 2);
#endif
    buffer[who].count--;
    buffer[who].word[buffer[who].count] = 0; /* fewer states */
    buffer[who].value[buffer[who].count] = 0
}
inline shift(who, at, to) {
    if
    :: at <= to ->
        buffer[who].word[to] = buffer[who].word[to + 1];
        buffer[who].value[to] = buffer[who].value[to + 1]
    :: else
    fi
}
inline drain_all(who) {
    do
    :: buffer[who].count > 0 -> drain_one(who)
    :: else -> break
    od
}
#define FENCE(who) (buffer[who].count == 0)
#define DRAIN(who) drain_all(who)

#if MUTANT == 16
#define RELEASES(w) ((w) == TAIL)
#else
#define RELEASES(w) ((w) == PUBLISHED || (w) == TAIL)
#endif
/* Is the word of store number `at` none of those before it, which it may overtake? */
#define OF_ITS_OWN(who, at) \
    (!RELEASES(buffer[who].word[at]) && \
     buffer[who].word[at] != buffer[who].word[0] && \
     ((at) < 2 || buffer[who].word[at] != buffer[who].word[1]) && \
     ((at) < 3 || buffer[who].word[at] != buffer[who].word[2]))

active proctype store_buffers() {
end: do
    :: atomic { buffer[P].count > 0 -> drain_one(P) }
    :: atomic { buffer[C].count > 0 -> drain_one(C) }
#ifdef WEAK
    :: atomic { buffer[P].count > 1 && OF_ITS_OWN(P, 1) -> drain_at(P, 1) }
    :: atomic { buffer[P].count > 2 && OF_ITS_OWN(P, 2) -> drain_at(P, 2) }
    :: atomic { buffer[P].count > 3 && OF_ITS_OWN(P, 3) -> drain_at(P, 3) }
    :: atomic { buffer[C].count > 1 && OF_ITS_OWN(C, 1) -> drain_at(C, 1) }
    :: atomic { buffer[C].count > 2 && OF_ITS_OWN(C, 2) -> drain_at(C, 2) }
    :: atomic { buffer[C].count > 3 && OF_ITS_OWN(C, 3) -> drain_at(C, 3) }
#endif
    od
}
#endif

/* ty_link_order_waker() */
#if MUTANT == 1
#define ORDER_WAKER(who) skip
#elif defined(MEMBARRIER)
#define ORDER_WAKER(who) skip
#else
#define ORDER_WAKER(who) FENCE(who)
#endif

/* order_sleeper() */
#if MUTANT == 2
#define ORDER_SLEEPER skip
#elif defined(MEMBARRIER)
#define ORDER_SLEEPER atomic { DRAIN(P); DRAIN(C) }
#else
#define ORDER_SLEEPER FENCE(me)
#endif

/* ring_must_wake() and ty_link_wake() */
#if MUTANT == 5
#define REACHED(position) true
#else
#define REACHED(position) ((position) >= wanted)
#endif
inline wake_if_wanted(word, position) {
    wanted = memory[word];
    if
    :: wanted != 0 && wanted != woken && REACHED(position) ->
        woken = wanted;
        if /* a full socket does not block: wake-ups are waiting there already */
        :: atomic { bytes_to[1 - me] < 2 -> bytes_to[1 - me]++ }
        :: bytes_to[1 - me] == 2
        fi
    :: else
    fi;
    wanted = 0
}

#if MUTANT == 4
#define PUBLISH_AND_WAKE(word, value, wanted_word) \
    wake_if_wanted(wanted_word, value); STORE(me, word, value); ORDER_WAKER(me)
#else
#define PUBLISH_AND_WAKE(word, value, wanted_word) \
    STORE(me, word, value); ORDER_WAKER(me); wake_if_wanted(wanted_word, value)
#endif

#if MUTANT == 8
#define PEER_ENDED false
#else
#define PEER_ENDED (farewell[1 - me] != ALIVE || gone[1 - me])
#endif

/* poll_link(): what the end is, as far as it can be seen now. */
#if MUTANT == 13
#define SAID (farewell[1 - me] != ALIVE -> CLOSED : ALIVE)
#else
#define SAID farewell[1 - me]
#endif
#if MUTANT == 14
#define PEER (gone[1 - me] -> DEAD : SAID)
#else
#define PEER (farewell[1 - me] != ALIVE -> SAID : (gone[1 - me] -> DEAD : ALIVE))
#endif
#if MUTANT == 8
#define LOOK_AT_PEER ended = ALIVE
#else
#define LOOK_AT_PEER ended = PEER
#endif

/* What an end is told of its peer is what the peer has done. */
#define RIGHT_END(peer, complete) \
    assert(ended != CLOSED || complete); \
    assert(ended != ABORTED || abort[peer]); \
    assert(ended != DEAD || (crash[peer] && farewell[peer] == ALIVE))

/* Killed, aborting or done: the process ends. The first farewell counts. */
inline end_process() {
    if
    :: abort[me] && farewell[me] == ALIVE ->
#if MUTANT != 12
        FENCE(me); /* send() is a system call */
#endif
        farewell[me] = ABORTED
    :: crash[me] || farewell[me] != ALIVE
    fi;
#if MUTANT == 15
    farewell[me] = CLOSED;
#endif
    atomic { DRAIN(me); gone[me] = true }
}

#ifdef EVENT_LOOP
/* ty_link_arm() and the loop's poll. Bytes stay until the next look that finds nothing,
 * and the wanted word stays for good. */
inline sleep_once(wanted_word, position, ready) {
#if MUTANT != 10
    atomic { LOOK_AT_PEER; if :: !ended -> bytes_to[me] = 0 :: else fi };
#endif
#if MUTANT == 11
    if :: !armed -> armed = true; STORE(me, wanted_word, position) :: else fi;
#else
    STORE(me, wanted_word, position);
#endif
    ORDER_SLEEPER;
    if
#if MUTANT == 3
    :: true ->
#else
    :: ready -> skip
    :: !(ready) ->
#endif
#if MUTANT == 10
        atomic { LOOK_AT_PEER; if :: !ended -> bytes_to[me] = 0 :: else fi };
#endif
        if
        :: ended /* said so: the loop does not poll again */
        :: !ended ->
            if
            :: bytes_to[me] > 0
            :: PEER_ENDED
            :: atomic { spurious > 0 -> spurious-- }
            fi
        fi
    fi
}
#else
/* sleep_once(): `ready` is an expression over one load. Sets ended. Bytes are taken
 * before it, and after it where nothing is ready, or more than a byte has come. */
inline sleep_once(wanted_word, position, ready) {
    atomic { LOOK_AT_PEER; if :: !ended -> bytes_to[me] = 0 :: else fi };
    STORE(me, wanted_word, position);
    ORDER_SLEEPER;
    if
#if MUTANT == 3
    :: true ->
#else
    :: ready -> skip
    :: !(ready) ->
#endif
#if MUTANT == 6
        bytes_to[me] = 0;
#endif
        if /* ppoll */
        :: bytes_to[me] > 0
        :: PEER_ENDED
        :: atomic { spurious > 0 -> spurious-- }
        fi;
        if
        :: ready -> skip
        :: atomic { LOOK_AT_PEER; if :: !ended -> bytes_to[me] = 0 :: else fi }
        fi
    fi;
    STORE(me, wanted_word, 0)
}
#endif

/* The look and its negation are one load in the code: taken as one step here. */
#define DATA (memory[PUBLISHED] > taken)
#define SPACE (head - memory[TAIL] < ROOM)

active proctype producer() {
    byte head, woken, wanted;
    byte ended;
    bool armed;
    byte me = P;
    {
        do
        :: head < MESSAGES && SPACE ->
            head++;
#ifdef WEAK
            STORE(me, PAYLOAD, head);
#endif
            PUBLISH_AND_WAKE(PUBLISHED, head, WANTED_HEAD);
            flushed = head
        :: head < MESSAGES && !SPACE ->
            sleep_once(WANTED_TAIL, head + 1 - ROOM, SPACE);
#if MUTANT == 7
            if :: ended -> break :: else fi
#else
            if
            :: SPACE -> ended = ALIVE
            :: else -> if :: ended -> break :: else fi
            fi
#endif
        :: head == MESSAGES -> break
        od;
        RIGHT_END(C, true);
#if MUTANT == 9
        farewell[P] = CLOSED; DRAIN(P)
#else
        FENCE(P); /* send() is a system call */
        farewell[P] = CLOSED
#endif
    } unless { crash[P] || abort[P] };
    end_process()
}

active proctype consumer() {
    byte taken, woken, wanted;
    byte ended;
    bool armed;
    byte me = C;
    {
        do
        :: DATA ->
            taken++;
#ifdef WEAK
            assert(memory[PAYLOAD] >= taken);
#endif
            PUBLISH_AND_WAKE(TAIL, taken, WANTED_TAIL)
        :: !DATA ->
            sleep_once(WANTED_HEAD, taken + 1, DATA);
#if MUTANT == 7
            if :: ended -> break :: else fi
#else
            if
            :: DATA -> ended = ALIVE
            :: else -> if :: ended -> break :: else fi
            fi
#endif
        od;
        /* End of stream: everything that was published has been taken. */
        assert(taken == memory[PUBLISHED] && taken >= flushed);
        RIGHT_END(P, taken == MESSAGES);
        FENCE(C);
        farewell[C] = CLOSED
    } unless { crash[C] || abort[C] };
    end_process()
}

#ifdef CRASH_PRODUCER
active proctype kill_producer() {
    if :: crash[P] = true :: skip fi
}
#endif
#ifdef CRASH_CONSUMER
active proctype kill_consumer() {
    if :: crash[C] = true :: skip fi
}
#endif
#ifdef ABORT_PRODUCER
active proctype abort_producer() {
    if :: abort[P] = true :: skip fi
}
#endif
#ifdef ABORT_CONSUMER
active proctype abort_consumer() {
    if :: abort[C] = true :: skip fi
}
#endif
