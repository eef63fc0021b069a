/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake: a listener that answers one client at a time, with memory or, where the
 * fingerprints differ and both ends describe their messages, with its description first.
 * Nobody gets in without an offer of memory that no other has seen, nor with messages that
 * do not fit; each is asked once at most; whoever is honest gets in, however long the others
 * before it say nothing. A client that is forgotten is a deadlock, which Spin reports as an
 * invalid end state.
 *
 * What stands for which code
 *   hear(), expire()    the loop over clients in ty_listener_round(): read_hello(),
 *                       read_types(), read_acknowledge(), expire_clients(); dismiss()
 *   answer_next()       of that name in listener.c, with ask_for_types() and offer()
 *   hand_over(), last() of those names
 *   connector()         ty_connector_round(): exchange_types(), accept_offer()
 * A description comes in two pieces, the second hello within the first. Time: a deadline may
 * pass at any moment, but not for whoever is honest. Clients arrive in the order of their
 * numbers. Not in it: pieces of a hello, a full table, a lack of descriptors.
 *
 * Clients  0 is hostile: it says up to LIES things, of all that one may say, then leaves or
 *          falls silent. 1 has other messages, that fit. 2 has the listener's, or with
 *          -DMISFIT others, that do not fit.
 * Listener for the first that comes; -DMANY: for many; -DCLOSES: it ends at any time.
 *          -DLIAR: hostile itself, and one connector.
 *
 * MUTANT: one deliberate fault each; the verifier must find it.
 *   1 who is asked does not count as being answered
 *   2 who is asked has no deadline
 *   3 that the descriptions have been compared is forgotten
 *   4 whose fingerprint differs is refused, not asked
 *   5 who is asked is let in by an acknowledge
 *   6 memory that a dismissed client has seen is offered to the next
 *   7 any description fits
 *   8 what was asked of one that left is taken for a piece of the next one's
 *   9 who has been asked is not answered again
 *  10 at the end of the listener an acknowledge of one that is asked counts (CLOSES)
 *  11 a connector takes an offer of who has not asked, though fingerprints differ (LIAR)
 *  12 a connector says its description as often as it is asked (LIAR)
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef LIES
#define LIES 3
#endif
#define N 3
#define NOBODY 255

mtype = { hello, part, rest, acknowledge, noise, ask, offer, refusal };
/* hello: do fingerprints differ? rest: does it fit? */
chan to_l[N] = [6] of { mtype, bit };
chan to_c[N] = [4] of { mtype };
/* The hostile one does not listen. */
#define TELL(i, message) if :: i == 0 :: else -> to_c[i]!message fi
bool came[N], gone[N]; /* the client has connected, has closed */
bool shut[N];          /* the listener has closed */
bool connected[N];     /* it has been handed over */
bool over;

/* ---- The listener ---- */

bool here[N], greeted[N], differs[N], agreed[N];
bool answered[N], asked[N]; /* one at a time: offered memory, or (asked) its description */
bool fitting[N];            /* whose description fits indeed (assertions) */
byte times_asked[N];        /* likewise */
bool pieces;                /* some of the description has come */
byte seen_by = NOBODY;      /* the memory that is there */

#define MAY_BE_LATE(i) ((i) == 0)
#define ANSWERED (answered[0] || answered[1] || answered[2])

inline end_asking(i) {
#if MUTANT != 8
    pieces = false;
#endif
    asked[i] = false;
    answered[i] = false
}

inline dismiss(i) {
    if
    :: answered[i] && !asked[i] ->
#if MUTANT != 6
        seen_by = NOBODY /* by new memory */
#else
        skip
#endif
    :: else
    fi;
    if :: asked[i] -> end_asking(i) :: else fi;
    answered[i] = false;
    here[i] = false;
    shut[i] = true
}

inline hand_over(i) {
    assert(answered[i] && !asked[i]); /* it was offered ... */
    assert(seen_by == i);             /* ... this memory, and nobody else was */
    assert(!differs[i] || (agreed[i] && fitting[i]));
    connected[i] = true;
    here[i] = false;
    answered[i] = false;
    seen_by = NOBODY;
#ifndef MANY
    over = true
#endif
}

inline ask_for_types(i) {
#if MUTANT != 1
    answered[i] = true;
#endif
    asked[i] = true;
    times_asked[i]++;
    assert(times_asked[i] == 1);
    TELL(i, ask)
}

inline offer_memory(i) {
    assert(!asked[0] && !asked[1] && !asked[2] && !ANSWERED);
    assert(seen_by == NOBODY || seen_by == i);
    seen_by = i;
    answered[i] = true;
    TELL(i, offer)
}

#define WAITS(i) (here[i] && greeted[i] && !answered[i] && !(MUTANT == 1 && asked[i]))
#if MUTANT == 3
#define TO_ASK(i) differs[i]
#else
#define TO_ASK(i) (differs[i] && !agreed[i])
#endif

inline answer(i) {
    if
#if MUTANT == 4
    :: TO_ASK(i) -> TELL(i, refusal); dismiss(i)
#elif MUTANT == 9
    :: agreed[i] -> skip
#endif
#if MUTANT != 4
    :: TO_ASK(i) -> ask_for_types(i)
#endif
    :: !TO_ASK(i) && !(MUTANT == 9 && agreed[i]) -> offer_memory(i)
    fi
}

inline answer_next() {
    do
    :: !over && !ANSWERED && WAITS(0) -> answer(0); if :: MUTANT == 9 -> break :: else fi
    :: !over && !ANSWERED && !WAITS(0) && WAITS(1) ->
        answer(1);
        if :: MUTANT == 9 -> break :: else fi
    :: !over && !ANSWERED && !WAITS(0) && !WAITS(1) && WAITS(2) ->
        answer(2);
        if :: MUTANT == 9 -> break :: else fi
    :: else -> break
    od
}

inline read_types(i) {
    if
    :: what == part && !pieces -> pieces = true
    :: what == rest && pieces ->
        fitting[i] = value;
        if
        :: value || MUTANT == 7 -> end_asking(i); agreed[i] = true
        :: else -> TELL(i, refusal); dismiss(i)
        fi
#if MUTANT == 5
    :: what == acknowledge -> hand_over(i)
#endif
    :: else -> TELL(i, refusal); dismiss(i)
    fi
}

/* Something has come of client i, or it has left. */
inline hear(i) {
    atomic {
    here[i] && (nempty(to_l[i]) || gone[i]) ->
        if
        :: empty(to_l[i]) -> dismiss(i)
        :: nempty(to_l[i]) ->
            to_l[i]?what, value;
            if
            :: asked[i] -> read_types(i)
            :: answered[i] && !asked[i] && what == acknowledge -> hand_over(i)
            :: answered[i] && !asked[i] && what != acknowledge -> dismiss(i)
            :: !answered[i] && !asked[i] && greeted[i] -> dismiss(i) /* not its turn */
            :: !greeted[i] && what == hello -> greeted[i] = true; differs[i] = value
            :: !greeted[i] && what != hello -> TELL(i, refusal); dismiss(i)
            fi
        fi;
        answer_next();
        what = 0;
        value = 0
    }
}

inline expire(i) {
    atomic {
    here[i] && MAY_BE_LATE(i) && (!greeted[i] || answered[i] || asked[i]) &&
    !(MUTANT == 2 && asked[i]) ->
        if :: !answered[i] -> TELL(i, refusal) :: else fi;
        dismiss(i);
        answer_next()
    }
}

/* No more rounds, but who has acknowledged believes in the connection. */
inline last(i) {
    if
    :: answered[i] && (!asked[i] || MUTANT == 10) && len(to_l[i]) > 0 ->
        to_l[i]?what, value;
        if :: what == acknowledge -> hand_over(i) :: else fi
    :: else
    fi
}

#ifndef LIAR
active proctype listener() {
    mtype what;
    bit value;
endlistening:
    do
    :: atomic { came[0] && !here[0] && !shut[0] && !connected[0] && !over -> here[0] = true }
    :: atomic { came[1] && !here[1] && !shut[1] && !connected[1] && !over -> here[1] = true }
    :: atomic { came[2] && !here[2] && !shut[2] && !connected[2] && !over -> here[2] = true }
    :: hear(0)
    :: hear(1)
    :: hear(2)
    :: expire(0)
#ifdef CLOSES
    :: atomic { !over -> last(0); last(1); last(2); over = true }
#endif
    :: over -> break
    od;
    atomic { shut[0] = true; shut[1] = true; shut[2] = true; here[0] = false;
             here[1] = false; here[2] = false }
}
#else
active proctype listener() { /* it says anything, too */
    byte said;
    do
    :: said < LIES -> said++; if :: to_c[1]!ask :: to_c[1]!offer :: to_c[1]!refusal fi
    :: break
    od;
    shut[1] = true
}
#endif

/* ---- Clients ---- */

#define FAILED(i) gone[i] = true

inline say_types(i, fits) {
    to_l[i]!part, 0;
    to_l[i]!rest, fits
}

/* An honest one: its fingerprint is another, and its messages fit. */
proctype connector(byte i; bool other; bool fits) {
    bool compared, told, believes;
    came[i] = true;
    to_l[i]!hello, other;
    do
    :: to_c[i]?ask ->
        if
        :: (!other || compared) && MUTANT != 12 -> FAILED(i); goto done /* it lies */
        :: else ->
            assert(!compared);
            say_types(i, fits);
            compared = true;
            if :: !fits -> told = true; FAILED(i); break :: else fi
        fi
    :: to_c[i]?offer ->
        if
        :: other && !compared && MUTANT != 11 -> FAILED(i); goto done /* it lies */
        :: else ->
            assert(!other || (compared && fits));
            to_l[i]!acknowledge, 0;
            believes = true;
            break
        fi
    :: to_c[i]?refusal -> FAILED(i); told = true; break
    :: shut[i] && empty(to_c[i]) -> FAILED(i); break
    od;
#ifndef LIAR
    if
    :: believes -> connected[i] || shut[i]
    :: else
    fi;
    assert(connected[i] || over || !fits); /* the listener took another, or has ended */
    assert(fits || (!connected[i] && (told || over)));
#endif
done:
    skip
}

#ifndef LIAR
active proctype hostile() {
    byte said;
    came[0] = true;
    do
    :: said < LIES ->
        said++;
        if
        :: to_l[0]!hello, 0
        :: to_l[0]!hello, 1
        :: to_l[0]!part, 0
        :: atomic { to_l[0]!part, 0; to_l[0]!rest, 0 }
        :: atomic { to_l[0]!part, 0; to_l[0]!rest, 1 }
        :: to_l[0]!acknowledge, 0
        :: to_l[0]!noise, 0
        fi
    :: gone[0] = true; break
    :: goto endsilent
    od;
    goto done;
endsilent:
    false;
done:
    skip
}
#endif

init {
    atomic {
        run connector(1, true, true);
#ifndef LIAR
#ifdef MISFIT
        run connector(2, true, false)
#else
        run connector(2, false, true)
#endif
#endif
    }
}
