/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fan-in: one consumer of two rings, each with a producer of its own; the second one is
 * there from the start, or with -DJOIN comes at any time.
 *
 * The consumer looks at *hot* rings. One that has nothing may become *cold*: it says what
 * it waits for, orders, looks once more, and from then on epoll tells of it. To sleep it
 * says so for all hot rings, orders once, looks at all of them, and waits on the set of
 * the producers' sockets and the bell. Only those that the set names are hot again.
 * A lost wake-up is a deadlock, which Spin reports as an invalid end state.
 *
 * What stands for which code
 *   produce()       tachyon_flush() in producer.c, ring_must_wake()
 *   accept()        admit() in many.c, as far as ty_peers_push_joined()
 *   news()          ty_peers_news(): the bell, then news_of() is ty_turns_told(), the door,
 *                   and take_in() what ty_turns_took() takes off `joined`
 *   look()          turn() and look() in turns.c, or one ring of cool(); who has ended and
 *                   is found empty leaves, as in part_with_drained()
 *   sleep_once()    of that name in link.c, with ty_turns_asleep(): say_if_hot(), unsay(),
 *                   hot to cold; look_again() is look_at_all(). Who has ended and is drained
 *                   rings the bell there, so that nobody sleeps; here nobody does at once
 * Not in it: whose turn it is and for how long (quantum_of()), what is handed out meanwhile
 * (F2), what is sent before its sender is let in, how far a hostile one is drained (F3),
 * names (F4), drop, close, tachyon_bus_fileno(), what callers.c has besides: the rings of
 * replies and a wait for room in them. Room in a ring is SPSC's and in wake.pml. Nor
 * solo.c, which has no model.
 *
 * Memory, order: as in wake.pml: -DSC, -DMEMBARRIER; -DREFUSED: once the kernel refuses it,
 *         and then no sleep is long and no ring goes cold.
 * Accept (JOIN): in a thread of its own, or with -DSELF also by the consumer when it sleeps.
 * Crash:  -DCRASH: either producer, or both, or none, is killed at any step.
 * MUTANT: one deliberate fault each; the verifier must find it.
 *   1 the waker has no order
 *   2 going cold has no order           3 going cold has no second look
 *   4 the sleep has no order            5 the sleep has no second look
 *   6 bytes are taken after the words are said, not before
 *   7 joiners are taken in before the bell's bytes are taken
 *   8 who joins does not ring the bell
 *   9 a ring that the set has named stays cold
 *  10 an end is not followed by a last look
 *  11 the order of the sleep comes before the word of the last ring
 *  12 a ring that joins is cold
 *  13 rings go cold although the membarrier was refused (REFUSED)
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef MESSAGES
#define MESSAGES 2 /* of the first producer; the second one sends one */
#endif
#define ALL(i) ((i) == 0 -> MESSAGES : 1)
#define SPURIOUS 1 /* time-outs, signals */

#define C 0 /* the consumer; producer i is process i + 1, who accepts is A */
#define P(i) ((i) + 1)
#define A 3
#define PUBLISHED(i) (i)
#define WANTED_HEAD(i) (2 + (i))
#define JOINED 4

byte memory[5];
bool bytes_of[2]; /* wake-ups in the socket of ... */
bool bell;
bool knocking = true, accepting; /* JOIN: producer 1 at the door; the accept step's try-lock */
bool told;
bool bye[2], gone[2]; /* said so; the kernel has closed the socket of ... */
bool crash[2];
#ifdef CRASH
byte flushed[2]; /* messages whose flush has returned, for the assertions */
#define FLUSHED(i) flushed[i]
#define HAS_FLUSHED(i, n) flushed[i] = n
#else
#define FLUSHED(i) 0
#define HAS_FLUSHED(i, n) skip
#endif
byte taken[2];
byte spurious = SPURIOUS;

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
    :: atomic { buffer[C].count > 0 -> drain_one(C) }
    :: atomic { buffer[P(0)].count > 0 -> drain_one(P(0)) }
    :: atomic { buffer[P(1)].count > 0 -> drain_one(P(1)) }
    :: atomic { buffer[A].count > 0 -> drain_one(A) }
    od
}
#endif

/* ty_link_order_waker() */
#if MUTANT == 1 || defined(MEMBARRIER)
#define ORDER_WAKER(who) skip
#else
#define ORDER_WAKER(who) FENCE(who)
#endif
/* order_sleeper() */
#ifdef REFUSED
#define ORDER_SLEEPER \
    if \
    :: atomic { DRAIN(C); DRAIN(P(0)); DRAIN(P(1)); DRAIN(A); ordered = true } \
    :: refusals > 0 -> FENCE(C); atomic { refusals--; ordered = false } \
    fi
byte refusals = 1;
#elif defined(MEMBARRIER)
#define ORDER_SLEEPER atomic { DRAIN(C); DRAIN(P(0)); DRAIN(P(1)); DRAIN(A) }
#else
#define ORDER_SLEEPER FENCE(C)
#endif

/* ---- Producers ---- */

inline produce(i) {
    do
    :: n < ALL(i) ->
        n++;
        STORE(P(i), PUBLISHED(i), n);
        ORDER_WAKER(P(i));
        wanted = memory[WANTED_HEAD(i)];
        if
        :: wanted != 0 && wanted != woken && n >= wanted ->
            atomic { woken = wanted; bytes_of[i] = true }
        :: else
        fi;
        atomic { wanted = 0; HAS_FLUSHED(i, n) }
    :: else -> break
    od;
    if /* at once, or after all has been taken: then no end makes up for a wake-up */
    :: true -> taken[i] == n
    :: true
    fi;
    FENCE(P(i)); /* send() is a system call */
    bye[i] = true
}

active proctype producer0() {
    byte n, wanted, woken;
    { produce(0) } unless { crash[0] };
    atomic { DRAIN(P(0)); gone[0] = true }
}

active proctype producer1() {
    byte n, wanted, woken;
    { told; produce(1) } unless { crash[1] };
    atomic { DRAIN(P(1)); gone[1] = true }
}

/* ---- The accept step ---- */

inline accept(me) {
    if
    :: atomic { knocking && !accepting -> knocking = false; accepting = true };
        STORE(me, JOINED, 1);
        FENCE(me); /* sendmsg() */
        told = true;
#if MUTANT != 8
        bell = true;
#endif
        accepting = false
    :: else
    fi
}

#ifdef JOIN
active proctype acceptor() {
    accept(A)
}
#endif

/* ---- Consumer ---- */

#define MORE(i) (memory[PUBLISHED(i)] > taken[i])
#define ENDED(i) (bye[i] || gone[i])

inline take_in() {
    atomic { /* an exchange */
    if
    :: memory[JOINED] == 1 ->
        DRAIN(C);
        memory[JOINED] = 0;
        member[1] = true;
        hot[1] = (MUTANT != 12)
    :: else
    fi
    }
}

/* What the set names: its bytes are taken, and it is looked at from now on. */
inline news_of(i) {
    atomic {
    if
    :: member[i] && (bytes_of[i] || ENDED(i)) ->
        bytes_of[i] = false;
        ended[i] = ENDED(i);
#if MUTANT != 9
        hot[i] = true
#endif
    :: else
    fi;
    if :: hot[i] && said[i] -> said[i] = false; STORE(C, WANTED_HEAD(i), 0) :: else fi
    }
}

inline news() {
#if MUTANT == 7
    take_in();
    bell = false;
    news_of(0);
    news_of(1)
#else
    bell = false;
    news_of(0);
    news_of(1);
#if defined(JOIN) && defined(SELF)
    accept(C);
#endif
    take_in();
#endif
}

inline say(i) {
    said[i] = true;
    STORE(C, WANTED_HEAD(i), taken[i] + 1)
}

#ifdef REFUSED
#define STAYS_HOT (!ordered && MUTANT != 13)
#else
#define STAYS_HOT false
#endif

/* One look at a hot ring; after so many that find nothing it becomes cold. */
inline look(i) {
    atomic {
    if
    :: !member[i] || !hot[i]
    :: member[i] && hot[i] && MORE(i) -> taken[i]++; found = true
    :: member[i] && hot[i] && !MORE(i) && ended[i] -> /* seen before this look */
        assert(taken[i] == memory[PUBLISHED(i)] && taken[i] >= FLUSHED(i));
        assert(!bye[i] || taken[i] == ALL(i));
        member[i] = false;
        hot[i] = false;
        ended[i] = false
    :: member[i] && hot[i] && !MORE(i) && !ended[i]
    :: member[i] && hot[i] && !MORE(i) && !ended[i] -> cooling = true; say(i)
    fi
    };
    if
    :: cooling ->
#if MUTANT != 2
        ORDER_SLEEPER;
#endif
        atomic {
        if
        :: (MUTANT != 3 && MORE(i)) || STAYS_HOT ->
            said[i] = false;
            STORE(C, WANTED_HEAD(i), 0)
        :: else -> hot[i] = false
        fi;
        cooling = false
        }
    :: else
    fi
}

inline say_if_hot(i) {
    atomic { if :: member[i] && hot[i] -> say(i) :: else fi }
}

inline look_again(i) {
    atomic { if :: member[i] && hot[i] && MORE(i) -> found = true :: else fi }
}

inline unsay(i) { /* still hot: no sleep has come of it */
    atomic {
    if :: member[i] && hot[i] -> said[i] = false; STORE(C, WANTED_HEAD(i), 0) :: else fi
    }
}

#if MUTANT == 10
#define LAST_LOOK(i) \
    if :: ended[i] -> assert(taken[i] >= FLUSHED(i)); member[i] = false :: else fi
#else
#define LAST_LOOK(i) skip
#endif

/* Both have come and gone. */
#define OVER (!member[0] && !member[1] && told && memory[JOINED] == 0)

inline sleep_once() {
#if MUTANT != 6
    news();
#endif
    LAST_LOOK(0);
    LAST_LOOK(1);
    say_if_hot(0);
#if MUTANT == 11
    ORDER_SLEEPER;
#endif
    say_if_hot(1);
#if MUTANT != 4 && MUTANT != 11
    ORDER_SLEEPER;
#endif
#if MUTANT == 6
    news();
#endif
    found = false;
#if MUTANT != 5
    look_again(0);
    look_again(1);
#endif
    if
    :: found || (member[0] && ended[0]) || (member[1] && ended[1]) ->
        unsay(0);
        unsay(1)
    :: else ->
        atomic { if :: STAYS_HOT :: else -> hot[0] = false; hot[1] = false fi };
        if /* epoll on the set */
#ifdef REFUSED
        :: STAYS_HOT -> skip /* by its time-out, in a millisecond */
#endif
        :: bell
        :: member[0] && (bytes_of[0] || ENDED(0))
        :: member[1] && (bytes_of[1] || ENDED(1))
#if defined(JOIN) && defined(SELF)
        :: knocking && !accepting
#endif
        :: atomic { spurious > 0 -> spurious-- }
        :: OVER -> skip
        fi;
        news()
    fi;
    found = false
}

active proctype consumer() {
    bool member[2], hot[2], said[2], ended[2], found, cooling;
#ifdef REFUSED
    bool ordered = true;
#endif
    member[0] = true;
    hot[0] = true;
#ifndef JOIN
    member[1] = true;
    hot[1] = true;
    told = true;
#endif
    do
    :: OVER -> break
    :: else ->
        found = false;
        look(0);
        look(1);
        if
        :: found
        :: !found -> news() /* epoll_wait() that does not wait */
        :: !found -> sleep_once()
        fi
    od;
    assert(taken[0] >= FLUSHED(0) && taken[1] >= FLUSHED(1));
    assert(crash[0] || taken[0] == ALL(0));
    assert(crash[1] || taken[1] == ALL(1))
}

#ifdef CRASH
active proctype kill0() { if :: crash[0] = true :: skip fi }
active proctype kill1() { if :: crash[1] = true :: skip fi }
#endif
