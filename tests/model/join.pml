/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcast: one sender, and readers that join, sleep, leave, die and are evicted while it
 * sends. The sending thread alone has the array of cursors; the accept step, which one
 * thread at a time is in, makes peers and frees them; `joined` and `left` lead from one to
 * the other. Sleep, wake and end of a single reader are in wake.pml.
 *
 * What stands for which code
 *   accept_step()      admit() in many.c, join() in broadcast.c, cursors_insert(); SETTLE is
 *                      cursor_settle(), the wish cursors_grant(); told[] the byte 'J'.
 *                      Between the push and SHARED there is a fence in the code as well,
 *                      which TSO does not need
 *   reaper()           reap() and release_peer() in many.c
 *   aim(), take_in()   cursors_aim(), cursors_take_in()
 *   drop(), hand_back_dropped(), evict()
 *                      cursors_drop(), ty_peers_hand_back(), cursor_evict() and
 *                      order_eviction()
 *   refresh()          cursors_refresh(), look_at_tail() is cursor_look(); FREE_RUN
 *                      cursors_without(), MARK cursors_mark()
 *   sleep_for_room()   sleep_once() in link.c with tx_asleep() and tx_ready() in broadcast.c;
 *                      cursors_ask(); its end by EVICT is lose_patience()
 *   flush(), commit()  ring_publish(), flush_slow() in broadcast.c, ring_commit();
 *                      woken = ALWAYS is undone by cursors_woken()
 *   PLACE_KEPT         keep_place() with `succeeded`, predecessor()
 *   read()             consumer.c on a ring with RING_EVICTED, ring_release()
 * Not in it: cursors_call() and cursors_answer(), by which the next flush looks around
 * when a reader has left, and watch_new(), from which on the set tells of it; that who
 * finds another in the accept step has that one look again (P3 in many.c); the descriptor
 * for event loops and its clock.
 *
 * Each reader has control words of its own: tail, wanted_head, wanted_tail. All read one
 * ring of CAP lines. The line at position p holds p + 1 once it is published and 0 before,
 * so who reads anything else there reads what was overwritten or never shown: an assertion
 * fails. A lost wake-up is a deadlock, which Spin reports as an invalid end state.
 *
 * Memory  -DSC, else TSO, as in wake.pml.
 * Order   -DMEMBARRIER: flush and release have no fence, a sleeper's membarrier drains all
 *         buffers; else fences. Accept step and refresh have fences in both.
 *         -DMIXED: as MEMBARRIER, but reader 1 is not registered for it.
 * Readers Reader 0 is there from the start, unless -DALONE; -DLATE: it joins as well.
 *         Reader 1 joins at any time. Either is killed at any step: -DCRASH0, -DCRASH1.
 *         -DSTUCK0 lives, but takes nothing more; -DHOSTILE0 writes any tail.
 * Accept  In a thread; -DSELF: also by the sender about to sleep; -DNO_THREAD: only there.
 * Start   now; -DOLDEST: the oldest that is kept; -DKEPT: reader 1 is reader 0's
 *         successor and begins where that one, killed, has released to, unless its time
 *         is over (-DEXPIRE).
 * Nobody  without readers the sender waits for one; -DFREE_RUN: it overwrites.
 * Slow    -DEVICT: a wait for room may end by evicting who is in the way.
 * Records of one line; -DLONG: of one or two. -DBATCH: two a flush, the first word last.
 * -DIDLE: the sender ends only when reader 1 has read all, so no end hides a lost wake-up.
 * -DCOARSE: a few steps of one end are one, of the sender also the taking in of joiners and
 *         the aim() after it: mutant 17 is found without only. For fewer states.
 *
 * MUTANT: one deliberate fault each; the verifier must find it.
 *   1 the position is taken before the cursor is pushed, and not again after
 *   2 the accept step has no order between the push and the position
 *   3 refresh has no order between the floor and the second look (fences)
 *   4 the sender takes its own head for an undecided cursor, without telling
 *   5 the start is the committed head, not the flushed one (BATCH)
 *   6 refresh does not look for joiners again after it has stored the floor
 *   7 as 3, with membarrier, where the flush has no fence either
 *   8 a flush through all does not take joiners in
 *   9 a dead reader is freed before the sender has let go of it
 *  10 who is evicted is not told before its records are overwritten
 *  11 a reader asks whether it is evicted before it reads, not after
 *  12 the sender asks only the slowest reader to wake it, and keeps asking that one
 *  13 a join does not ring the bell of a sender that waits for its first reader
 *  14 the tail of a dropped cursor still counts
 *  15 who joins during the second look is not asked, and the bell is not rung
 *  16 the accept step does not turn the flush to all
 *  17 aim() turns the flush to one reader without a look for joiners after it
 *  18 a wish is compared with the floor as it was before the push
 *  19 the oldest start is the floor itself, not a mark (HOSTILE0)
 *  20 a tail that goes back counts (HOSTILE0)
 *  21 what was handed back is freed while somebody is in the accept step
 *  22 who sleeps does not look at the door
 *  23 the cursor of a place that is kept is dropped before its successor is in
 *  24 a place is looked up while its holder may live
 *  25 a flush through all leaves its mark, so the next one does not go there
 *  26 the flush goes without a fence until an unregistered reader is in (MIXED)
 *  27 before it tells an unregistered reader the accept step has no membarrier (MIXED)
 *  28 once a reader is not registered the sender's sleep has no membarrier (MIXED)
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef END
#define END 4 /* lines to be sent */
#endif
#ifndef CAP
#define CAP 3
#endif
#ifndef SPURIOUS
#define SPURIOUS 1 /* time-outs, signals */
#endif
#ifdef COARSE
#define TOGETHER atomic
#else
#define TOGETHER
#endif
#ifdef MIXED
#define MEMBARRIER
#endif
#if defined(OLDEST) || defined(KEPT)
#define WISH
#endif

/* Who stores; the accept step also runs in the sender. */
#define P 0
#define A 1
#define C(c) (2 + (c))

/* Shared words. */
#define LINE(p) ((p) % CAP)
#define FLUSHED CAP
#define FLOOR (CAP + 1)
#define SHARED (CAP + 2)  /* tx.shared: reader c's words (c + 1), or ALL */
#define FREELY (CAP + 3)  /* flushes_freely */
#define JOINED(c) (CAP + 4 + (c)) /* on the list */
#define WANTED_TAIL(c) (CAP + 6 + (c))
#define WANTED_HEAD(c) (CAP + 8 + (c))
#define TAIL(c) (CAP + 10 + (c))
#define MARK(i) (CAP + 12 + (i))
#ifdef OLDEST
#define WORDS (CAP + 14)
#else
#define WORDS (CAP + 12)
#endif
#define ALL 0
#define ALWAYS 254 /* wanted_head of ALL: no position, and each flush has reached it */
#define EVICTED 255
#define UNDECIDED 255
#define NOWHERE 255

#ifdef LONG
#define BYTES(p) ((p) % 3 == 0 -> 2 : 1)
#define BOUNDARY(p) ((p) % 3 != 1)
#else
#define BYTES(p) 1
#define BOUNDARY(p) true
#endif

byte memory[WORDS];
byte start[2] = UNDECIDED;
byte bytes_p;             /* wake-ups in the sender's set: readers' and the bell's */
bool bytes_c[2];
bool bye_p, bye_to[2];    /* the sender has closed; has shut this reader's socket */
bool gone[2];             /* hang-up: the kernel has closed the socket of ... */
bool told[2];             /* 'J' */
bool left[2], freed[2];   /* handed back by the sender; unmapped by the accept step */
bool accepting;           /* the accept step's try-lock */
bool knocks[2];
bool crash[2];
bool expired;             /* the time of a kept place is over */
byte wish = NOWHERE;
byte publishing;          /* the sender has begun to flush up to here (assertions) */
byte spurious = SPURIOUS;
#if MUTANT == 5
byte committed;
#endif

#ifdef SC
#define STORE(who, word, value) memory[word] = value
#define FENCE(who) skip
#define DRAIN(who) skip
#else
#define DEPTH 3
typedef Buffer { byte word[DEPTH]; byte value[DEPTH]; byte count };
Buffer buffer[4];

#define STORE(who, w, v) \
    atomic { \
        buffer[who].count < DEPTH; \
        buffer[who].word[buffer[who].count] = w; \
        buffer[who].value[buffer[who].count] = v; \
        buffer[who].count++ \
    }
inline drain_one(who) {
    memory[buffer[who].word[0]] = buffer[who].value[0];
    buffer[who].word[0] = buffer[who].word[1];
    buffer[who].value[0] = buffer[who].value[1];
    buffer[who].word[1] = buffer[who].word[2];
    buffer[who].value[1] = buffer[who].value[2];
    buffer[who].count--;
    buffer[who].word[buffer[who].count] = 0; /* fewer states */
    buffer[who].value[buffer[who].count] = 0
}
inline drain_all(who) {
    do
    :: buffer[who].count > 0 -> drain_one(who)
    :: else -> break
    od
}
#define FENCE(who) (buffer[who].count == 0)
#define DRAIN(who) drain_all(who)

active proctype store_buffers() {
end: do
    :: atomic { buffer[P].count > 0 -> drain_one(P) }
    :: atomic { buffer[A].count > 0 -> drain_one(A) }
    :: atomic { buffer[C(0)].count > 0 -> drain_one(C(0)) }
    :: atomic { buffer[C(1)].count > 0 -> drain_one(C(1)) }
    od
}
#endif

/* Of the processes that are registered: A is in the sender's. */
#ifdef MIXED
#define BARRIER atomic { DRAIN(P); DRAIN(A); DRAIN(C(0)) }
#define REGISTERED(c) ((c) == 0)
#else
#define BARRIER atomic { DRAIN(P); DRAIN(A); DRAIN(C(0)); DRAIN(C(1)) }
#define REGISTERED(c) true
#endif

/* order_sleeper() and ty_link_order_waker(), of a reader. */
inline order_reader_asleep(c) {
#ifdef MEMBARRIER
    if :: REGISTERED(c) -> BARRIER :: else -> FENCE(C(c)) fi
#else
    FENCE(C(c))
#endif
}
inline order_release(c) {
#ifdef MEMBARRIER
    if :: REGISTERED(c) :: else -> FENCE(C(c)) fi
#else
    FENCE(C(c))
#endif
}
/* The same of the sender. */
#if defined(MEMBARRIER) && MUTANT == 28
#define ORDER_SENDER_ASLEEP if :: memory[FREELY] == 1 -> BARRIER :: else -> FENCE(P) fi
#elif defined(MEMBARRIER)
#define ORDER_SENDER_ASLEEP BARRIER
#else
#define ORDER_SENDER_ASLEEP FENCE(P)
#endif
#ifdef MIXED
#define ORDER_FLUSH if :: memory[FREELY] == 1 :: else -> FENCE(P) fi
#elif defined(MEMBARRIER)
#define ORDER_FLUSH skip
#else
#define ORDER_FLUSH FENCE(P)
#endif
#if MUTANT == 2
#define ORDER_JOIN(who) skip
#else
#define ORDER_JOIN(who) FENCE(who)
#endif
#if MUTANT == 3 || MUTANT == 7
#define ORDER_REFRESH skip
#else
#define ORDER_REFRESH FENCE(P)
#endif

#define TOUCH(c) assert(!freed[c])
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* Whoever comes first decides where the reader begins; both use the result. */
#define SETTLE(who, c, position, result) \
    atomic { \
        DRAIN(who); /* a locked instruction */ \
        TOUCH(c); \
        if :: start[c] == UNDECIDED -> start[c] = position :: else fi; \
        result = start[c] \
    }
/* The first mark that is kept. */
#define OLDER(m, kept, than) ((m) >= (kept) && (m) < (than) -> (m) : (than))
#define KEPT_WISH(kept, now) (wish != NOWHERE && wish >= (kept) -> wish : (now))

/* ---- The accept step ---- */

#define DOOR (knocks[0] || knocks[1])
#define MAY_ACCEPT (DOOR && !accepting)

/* Of thread `me`. One reader has acknowledged; it is let in. */
inline accept_step(me) {
    if
    :: atomic { MAY_ACCEPT -> accepting = true;
       if
       :: knocks[0] -> j = 0
       :: knocks[1] -> j = 1
       fi;
       knocks[j] = false };
#ifdef KEPT
        /* It stays mapped while we are in here, for only this step frees. */
        atomic { if :: !left[0] -> TOUCH(0); wish = memory[TAIL(0)] :: else fi };
#endif
        before = memory[FLUSHED];
#if MUTANT == 18
        kept = memory[FLOOR];
#endif
#if defined(MIXED) && MUTANT != 26
        STORE(me, FREELY, 0);
#endif
        STORE(me, JOINED(j), 1);
#if MUTANT != 16
        STORE(me, SHARED, ALL);
#endif
        ORDER_JOIN(me);
#if MUTANT == 1
        position = before;
#elif MUTANT == 5
        position = committed;
#elif defined(WISH)
#if MUTANT != 18
        kept = memory[FLOOR];
#endif
#if MUTANT == 19
        position = kept;
#elif defined(OLDEST)
        position = memory[MARK(0)];
        position = OLDER(position, kept, NOWHERE);
        position = OLDER(memory[MARK(1)], kept, position);
        if :: position == NOWHERE -> position = memory[FLUSHED] :: else fi;
#else
        position = KEPT_WISH(kept, memory[FLUSHED]);
#endif
#else
        position = memory[FLUSHED];
#endif
        SETTLE(me, j, position, position);
        assert(BOUNDARY(position));
#ifndef WISH
        assert(position >= before); /* `now` is not before the request */
#endif
        TOUCH(j);
        STORE(me, TAIL(j), position);
#if defined(MIXED) && MUTANT != 27
        BARRIER; /* a flush that did not yet see FREELY has published */
#endif
        FENCE(me); /* send() is a system call */
#if defined(MIXED) && MUTANT == 26
        STORE(me, FREELY, 0);
#endif
        told[j] = true;
#if MUTANT != 13 && MUTANT != 15
        bytes_p = 1; /* the bell */
#endif
        atomic { position = 0; before = 0; kept = 0; j = 0; accepting = false }
    :: else
    fi
}

/* What was handed back is unmapped by a later accept step. */
active proctype reaper() {
#if MUTANT == 21
#define ALONE_IN_STEP true
#else
#define ALONE_IN_STEP !accepting
#endif
end: do
    :: atomic { left[0] && !freed[0] && ALONE_IN_STEP -> freed[0] = true }
    :: atomic { left[1] && !freed[1] && ALONE_IN_STEP -> freed[1] = true }
#if MUTANT == 9
    :: atomic { gone[1] && !freed[1] && !accepting -> freed[1] = true }
#endif
    od
}

#ifndef NO_THREAD
active proctype accepting_thread() {
    byte position, before, kept, j;
end: do
    :: MAY_ACCEPT -> accept_step(A)
    od
}
#endif

/* ---- Sender ---- */

#define ANY_JOINED (memory[JOINED(0)] == 1 || memory[JOINED(1)] == 1)

/* A flush looks at the only reader's own word, or goes through all. The accept step, which
 * lets another one in at this moment, stores ALL into the same word: look again. */
inline aim() {
    if
    :: member[0] && !member[1] -> STORE(P, SHARED, 1)
    :: member[1] && !member[0] -> STORE(P, SHARED, 2)
    :: else -> STORE(P, SHARED, ALL)
    fi;
    FENCE(P);
#if MUTANT != 17
    if
    :: ANY_JOINED -> STORE(P, SHARED, ALL); FENCE(P)
    :: else
    fi
#endif
}

#if MUTANT == 4
#define DECIDE(c) seen[c] = flushed
#elif defined(OLDEST)
#define DECIDE(c) \
    SETTLE(P, c, OLDER(mark[0], floor, OLDER(mark[1], floor, flushed)), seen[c])
#elif defined(KEPT)
#define DECIDE(c) SETTLE(P, c, KEPT_WISH(floor, flushed), seen[c])
#else
#define DECIDE(c) SETTLE(P, c, flushed, seen[c])
#endif

inline take_one_in(c) {
    if
    :: memory[JOINED(c)] == 1 ->
        memory[JOINED(c)] = 0;
        DECIDE(c);
        member[c] = true;
        changed = true
    :: else
    fi
}

inline take_in() {
    if
    :: ANY_JOINED ->
        /* An exchange, then a compare-and-swap each; nobody sees what is between. */
        atomic { DRAIN(P); take_one_in(0); take_one_in(1) };
        aim()
    :: else
    fi
}

inline drop(c) {
    member[c] = false;
    dropped[c] = true
}

/* A flush must not look at it any more when it is handed back. */
inline hand_back_dropped() {
    if
    :: dropped[0] || dropped[1] ->
        aim();
        atomic {
            if :: dropped[0] -> dropped[0] = false; left[0] = true :: else fi;
            if :: dropped[1] -> dropped[1] = false; left[1] = true :: else fi
        }
    :: else
    fi
}

#if defined(KEPT) && MUTANT != 23
#define PLACE_KEPT(c) ((c) == 0 && !member[1] && !expired)
#else
#define PLACE_KEPT(c) false
#endif
#define TO_DROP(c) (member[c] && gone[c] && !PLACE_KEPT(c))

inline drop_gone() {
    atomic {
        if :: TO_DROP(0) -> drop(0) :: else fi;
        if :: TO_DROP(1) -> drop(1) :: else fi
    };
    hand_back_dropped()
}

/* Told first: the word stands before anything that the reader may look at changes. */
inline evict(c) {
    TOUCH(c);
#if MUTANT != 10
    STORE(P, WANTED_TAIL(c), EVICTED);
#endif
    FENCE(P);
    bye_to[c] = true;
    drop(c)
}

inline look_at_tail(c) {
    if
    :: member[c] ->
        atomic { TOUCH(c); t = memory[TAIL(c)] };
        if
        :: t > flushed -> t = 0; evict(c)
        :: else ->
            atomic {
#if MUTANT == 20
            seen[c] = t;
#else
            if :: t > seen[c] -> seen[c] = t :: else fi;
#endif
            low = MIN(low, seen[c]);
            t = 0 }
        fi
    :: else
#if MUTANT == 14
        if :: left[c] -> low = MIN(low, seen[c]) :: else fi
#endif
    fi
}

#define NOBODY (!member[0] && !member[1])
#define WANT (head + BYTES(head) + 1 - CAP)
#define ROOM (head + BYTES(head) + 1 <= limit)

inline refresh() {
    do
    :: TOGETHER {
        take_in();
        low = flushed;
        look_at_tail(0);
        look_at_tail(1);
        hand_back_dropped();
        if
#ifdef FREE_RUN
        :: NOBODY -> if :: low = WANT :: skip fi /* not all at once, or all */
#else
        :: NOBODY -> low = floor
#endif
        :: else
        fi;
        STORE(P, FLOOR, low) };
        TOGETHER {
        ORDER_REFRESH;
#if MUTANT == 6
        break
#else
        if :: ANY_JOINED :: else -> break fi
#endif
        }
    od;
    atomic {
        assert(low >= floor && low <= flushed);
        floor = low;
        limit = floor + CAP;
        low = 0
    }
#ifdef OLDEST
    ; TOGETHER {
    if
    :: mark[next] < flushed && mark[1 - next] < flushed ->
        mark[next] = flushed;
        STORE(P, MARK(next), flushed);
        next = 1 - next
    :: else
    fi }
#endif
}

#if MUTANT == 15
#define AGAIN false
#else
#define AGAIN changed
#endif
#if MUTANT == 12
#define ASKED(c) (asked == (c))
#else
#define ASKED(c) (member[c] && seen[c] < WANT)
#endif
#define IN_THE_WAY(c) (member[c] && seen[c] < WANT)

/* ty_peers_news(): what the set tells. */
inline news() {
    bytes_p = 0;
#if defined(SELF) && MUTANT != 22
    accept_step(P);
#endif
    take_in();
    drop_gone()
}

/* Waiting on is right when no reader is left to come, and ends the model. */
#define COME(c) (left[c] || bye_to[c])
#ifdef ALONE
#define NOBODY_LEFT (COME(1) && NOBODY && !ANY_JOINED)
#else
#define NOBODY_LEFT (COME(0) && COME(1) && NOBODY && !ANY_JOINED)
#endif

inline sleep_for_room() {
    TOGETHER {
    news();
#if MUTANT == 12
    if
    :: asked < 2 && member[asked]
    :: else ->
        if
        :: member[0] && (!member[1] || seen[0] <= seen[1]) -> asked = 0
        :: member[1] && (!member[0] || seen[1] < seen[0]) -> asked = 1
        :: else -> asked = 2
        fi
    fi;
#endif
    if :: ASKED(0) -> TOUCH(0); STORE(P, WANTED_TAIL(0), WANT) :: else fi;
    if :: ASKED(1) -> TOUCH(1); STORE(P, WANTED_TAIL(1), WANT) :: else fi
    };
    TOGETHER { ORDER_SENDER_ASLEEP; changed = false };
    refresh();
    if
    :: ROOM
    :: !ROOM && AGAIN /* somebody has joined who was not asked */
    :: !ROOM && !AGAIN ->
        if /* epoll_wait() on the set */
        :: bytes_p > 0
#if defined(SELF) && MUTANT != 22
        :: MAY_ACCEPT
#endif
        :: TO_DROP(0) || TO_DROP(1)
        :: atomic { spurious > 0 -> spurious-- }
#ifdef EXPIRE
        :: member[0] && gone[0] && !expired -> expired = true
#endif
#ifndef FREE_RUN
        :: NOBODY_LEFT -> goto over
#endif
#ifdef EVICT
        :: IN_THE_WAY(0) || IN_THE_WAY(1) ->
            if :: IN_THE_WAY(0) -> evict(0) :: else fi;
            if :: IN_THE_WAY(1) -> evict(1) :: else fi;
            hand_back_dropped()
#endif
        fi
    fi;
    TOGETHER {
    changed = false;
    news();
    if :: member[0] -> TOUCH(0); STORE(P, WANTED_TAIL(0), 0) :: else fi;
    if :: member[1] -> TOUCH(1); STORE(P, WANTED_TAIL(1), 0) :: else fi }
}

/* ring_must_wake() */
#define MUST_WAKE(answered) (wanted != 0 && wanted != answered && flushed >= wanted)

inline wake_reader(c, answered) {
    TOGETHER {
    atomic { TOUCH(c); wanted = memory[WANTED_HEAD(c)] };
    atomic {
        if
        :: MUST_WAKE(answered) -> answered = wanted; bytes_c[c] = true
        :: else
        fi;
        wanted = 0 } }
}

/* ring_publish(), and the look at tx.shared's wanted_head. */
inline flush() {
    TOGETHER {
    atomic { publishing = head; STORE(P, LINE(flushed), flushed + 1) };
    flushed = head;
    unflushed = 0;
    STORE(P, FLUSHED, flushed) };
    TOGETHER {
    ORDER_FLUSH;
    shared = memory[SHARED];
    if
    :: shared == ALL && woken != ALWAYS -> /* its wanted_head is reached */
#if MUTANT != 8
        take_in()
#endif
    :: else
    fi };
    if
    :: shared == ALL && woken != ALWAYS ->
        changed = false;
        if :: member[0] -> wake_reader(0, answered[0]) :: else fi;
        if :: member[1] -> wake_reader(1, answered[1]) :: else fi;
#if MUTANT == 25
        woken = ALWAYS
#else
        woken = 0
#endif
    :: shared == 1 -> wake_reader(0, woken)
    :: shared == 2 -> wake_reader(1, woken)
    :: else
    fi;
    shared = 0
}

#ifdef BATCH
#define MAY_FLUSH (unflushed == 2 || head >= END)
#else
#define MAY_FLUSH true
#endif

inline commit() {
    TOGETHER {
    if
    :: BYTES(head) == 2 -> STORE(P, LINE(head + 1), head + 2)
    :: else
    fi;
    STORE(P, LINE(head + BYTES(head)), 0); /* I1 */
    if
    :: unflushed > 0 -> STORE(P, LINE(head), head + 1)
    :: else
    fi;
    head = head + BYTES(head);
#if MUTANT == 5
    committed = head;
#endif
    unflushed++ }
}

active proctype sender() {
    byte head, flushed, limit = CAP, floor, low, t, wanted, unflushed;
    byte seen[2], answered[2], woken, shared;
    bool member[2], dropped[2], changed;
#ifdef OLDEST
    byte mark[2], next;
#endif
#ifdef SELF
    byte position, before, kept, j;
#endif
#if MUTANT == 12
    byte asked = 2;
#endif
    atomic {
#ifdef MIXED
        memory[FREELY] = 1;
#endif
#if defined(ALONE) || defined(LATE)
        memory[SHARED] = ALL;
#else
        member[0] = true;
        start[0] = 0;
        told[0] = true;
        memory[SHARED] = 1;
#endif
#ifdef LATE
        knocks[0] = true;
#endif
#ifndef KEPT
        knocks[1] = true
#endif
    };
    do
    :: head < END && ROOM ->
        commit();
        if
        :: !MAY_FLUSH
        :: MAY_FLUSH -> flush()
#ifdef BATCH
        :: unflushed == 1 && head < END -> flush()
#endif
        fi
    :: head < END && !ROOM ->
        if :: unflushed > 0 -> flush() :: else fi;
        refresh();
        if
        :: ROOM
        :: else -> sleep_for_room()
        fi
    :: head >= END -> break
    od;
#ifdef IDLE
    !told[1] || gone[1] || memory[TAIL(1)] == END;
#endif
over:
    FENCE(P); /* send() is a system call */
    bye_p = true
}

/* ---- Readers ---- */

#define ENDED(c) (bye_p || bye_to[c])
#define GOOD(c) (line == tail + 1 && tail < publishing)
#ifdef LONG
#define READ(c) \
    line = memory[LINE(tail)]; \
    if :: BYTES(tail) == 2 && memory[LINE(tail + 1)] != tail + 2 -> line = EVICTED \
       :: else fi
#else
#define READ(c) line = memory[LINE(tail)]
#endif

inline read(c) {
    do
    :: true ->
        line = memory[LINE(tail)];
        if
        :: line == tail + 1 -> /* handed out; read in place */
#if MUTANT == 11
            asked = memory[WANTED_TAIL(c)];
            READ(c);
#elif defined(EVICT)
            READ(c);
            asked = memory[WANTED_TAIL(c)];
#else
            READ(c);
#endif
            if
            :: asked == EVICTED -> break /* LAGGED */
            :: else ->
                TOGETHER {
                assert(GOOD(c));
                tail = tail + BYTES(tail);
                STORE(C(c), TAIL(c), tail) };
                TOGETHER {
                order_release(c);
                asked = memory[WANTED_TAIL(c)];
                atomic {
                if
                :: asked != 0 && asked != answered && asked != EVICTED && tail >= asked ->
                    answered = asked;
                    bytes_p = 1
                :: else
                fi;
                asked = 0 } }
            fi
        :: line == 0 -> /* sleep_once() of wake.pml */
            TOGETHER { bytes_c[c] = false; STORE(C(c), WANTED_HEAD(c), tail + 1) };
            TOGETHER { order_reader_asleep(c); line = memory[LINE(tail)] };
            if
            :: line != 0
            :: line == 0 ->
                if
                :: bytes_c[c]
                :: ENDED(c)
                :: atomic { spurious > 0 -> spurious-- }
                fi
            fi;
            TOGETHER {
            atomic { ended = ENDED(c); bytes_c[c] = false };
            STORE(C(c), WANTED_HEAD(c), 0);
            line = memory[LINE(tail)] };
            if
            :: line == 0 && ended -> break
            :: else
            fi
        :: else -> /* overwritten: only the evicted may see that */
            asked = memory[WANTED_TAIL(c)];
            assert(asked == EVICTED);
            break
        fi;
        atomic { line = 0; ended = false }
#ifdef STUCK0
    :: c == 0 -> goto endstuck
#endif
    od
}

#define READ_ALL(c) assert(bye_to[c] || asked == EVICTED || tail == memory[FLUSHED])

#ifdef HOSTILE0
active proctype reader0() {
    byte lies;
    do
    :: lies < 2 ->
        lies++;
        if
        :: memory[TAIL(0)] = 1
        :: memory[TAIL(0)] = 2
        :: memory[TAIL(0)] = END
        fi
    :: break
    od;
    gone[0] = true
}
#elif !defined(ALONE)
active proctype reader0() {
    byte tail, line, asked, answered;
    bool ended;
    {
        told[0] || bye_p;
        if
        :: told[0] ->
            tail = start[0];
            read(0);
            READ_ALL(0)
        :: else
        fi;
#ifdef KEPT
        crash[0];
#endif
        goto done;
endstuck:
        false;
done:   skip
    } unless { crash[0] };
    atomic { DRAIN(C(0)); gone[0] = true }
}
#endif

active proctype reader1() {
    byte tail, line, asked, answered;
    bool ended;
    {
#ifdef KEPT
#if MUTANT == 24
        told[0];
#else
        told[0] && gone[0]; /* as long as it lives the name is taken */
#endif
        knocks[1] = true;
#endif
        told[1] || bye_p;
        if
        :: told[1] ->
            tail = start[1];
#ifdef KEPT
            gone[0]; /* only for the assertion */
            assert(tail == memory[TAIL(0)] || expired || bye_p);
#endif
            read(1);
endstuck:   READ_ALL(1)
        :: else
        fi
    } unless { crash[1] };
    atomic { DRAIN(C(1)); gone[1] = true }
}

#if defined(CRASH0)
active proctype kill0() { if :: crash[0] = true :: skip fi }
#elif defined(KEPT)
active proctype kill0() { crash[0] = true }
#endif
#ifdef CRASH1
active proctype kill1() { if :: crash[1] = true :: skip fi }
#endif
