/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listener, many peers: either side killed under load and started again, many times.
 * What is promised of that (tachyon.h) is kept each time, whoever comes back is at work
 * within 100 ms, and neither memory, descriptors nor files grow.
 *
 * Each end is a process of its own; the test only starts and kills. What they have done
 * stands on a board that outlives them.
 */
#ifndef TACHYON_STRESS_COMEBACK_H
#define TACHYON_STRESS_COMEBACK_H

#include "length.h"
#include "peers.h"
#include "samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MILLI INT64_C(1000000)
#define QUICK 60 /* kills, instead of ... */
#define FULL 1000
#define WARM_UP 10 /* of them, before memory is looked at */
#define WRITERS 3
#define LIVES 2048 /* of a listener */

struct message {
    uint64_t writer, life, number;
};

/* Where a reader goes on, as it has noted it: whole, whenever it is killed. */
struct note {
    uint64_t position, epoch, number;
};

struct board {
    _Atomic bool stop;             /* all are to end in order */
    _Atomic bool stay;             /* the next life is the last, and not killed */
    _Atomic uint64_t life;         /* of whoever is killed, from 1 */
    _Atomic uint64_t at_work;      /* the life that has received, or been received */
    _Atomic int64_t at_work_ns;    /* since when */
    _Atomic uint64_t first;        /* number of its first message */
    _Atomic uint64_t seen, freed;  /* numbers up to which a reader has read, released */
    _Atomic uint64_t end[WRITERS]; /* how far a bystander has read at the end */
    _Atomic uint64_t flushed[WRITERS];  /* numbers up to which a flush has returned */
    _Atomic uint64_t flushed_in[LIVES]; /* the same of each life of a listener */
    _Atomic uint64_t left, dead, repeats;
    _Atomic uint64_t lagged, lagged_in; /* positions refused, the last in that life */
    struct note notes[2];
    _Atomic unsigned note; /* the one that holds; 0: none yet */
};

extern struct board *board;
extern const char *path; /* of the listener */

void begin_board(void);
tachyon_options_t reading(void);
void nap_us(long microseconds);
/* This life has received its first message, or was received from. */
void at_work(uint64_t life, uint64_t first);

/* ---- What the test sees of the others ---- */

struct watched {
    pid_t pid;
    size_t fds, kib, files;
};

size_t count_fds_of(pid_t pid);
struct watched look_at(pid_t pid);
/* As it was; descriptors of a peer that has just gone are given up with the next step. */
struct watched expect_no_growth(struct watched before);
/* It has begun by now, or something is wrong. */
void await(const char *what, _Atomic uint64_t *value, uint64_t wanted);
/* Start one life and wait until it is at work. */
pid_t live(void (*body)(void *), void *context, struct samples *samples);
/* Kill it, a little later. */
void end_life(pid_t pid, uint64_t *random);
void report(struct length *length, struct samples *samples, struct watched before,
            struct watched after, const char *more);

/* ---- Listeners, and who looks for one ---- */

void count_event(const tachyon_event_t *event);
void count_events(tachyon_bus_t *bus);

struct broadcaster {
    size_t capacity;
    int64_t keep_place_ns;
    uint32_t max_peers;
    long nap_us; /* after 64 messages */
};

/* Send to readers, as a `struct broadcaster` says. */
void broadcast(void *how);

struct writer {
    uint64_t number; /* of WRITERS */
    const char *name;
};

/* Whoever outlives its listener. */
struct survivor {
    uint64_t number;
    bool leads; /* its first message says that the listener is back */
};

/* A bus, or (with `rpc`) an RPC bus. While a listener dies there may be nobody who answers,
 * or not to the end. */
tachyon_error_t find_listener(tachyon_options_t *options, tachyon_bus_t **bus,
                              tachyon_rpc_bus_t **rpc);
/* Kill one listener after the other; the first of two survivors says when the next is at
 * work. */
void run_listeners(void (*listener)(void *), void *how, void (*survivor)(void *),
                   struct length *length);

#endif
