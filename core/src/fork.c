/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork: a child inherits descriptors and mappings of every connection. If it kept them
 * open, the peer would not notice the parent's death; if it used them, there would be
 * two producers. So each owner of descriptors is on a list, and the child's atfork
 * handler tells all of them to close and disarm. The hot path needs no check.
 *
 * Owns: the list, under its mutex, which the handlers hold across the fork.
 */
#include "fork.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool registered; /* under the mutex */
static struct fork_watch *watches;

static void before_fork(void) {
    pthread_mutex_lock(&mutex);
}

static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&mutex);
}

static void after_fork_in_child(void) {
    for (struct fork_watch *watch = watches, *next; watch; watch = next) {
        next = watch->next;
        watch->link = NULL; /* so that unwatch does nothing in the child */
        watch->in_child(watch);
    }
    watches = NULL;
    pthread_mutex_unlock(&mutex);
}

tachyon_error_t ty_fork_watch(struct fork_watch *watch) {
    pthread_mutex_lock(&mutex);
    int refused = registered ? 0
                             : pthread_atfork(before_fork, after_fork_in_parent,
                                              after_fork_in_child);
    registered = refused == 0;
    if (!registered) {
        pthread_mutex_unlock(&mutex);
        return ty_fail(TACHYON_ERR_MEM, refused, "cannot register the fork handlers");
    }
    watch->next = watches;
    watch->link = &watches;
    if (watches)
        watches->link = &watch->next;
    watches = watch;
    pthread_mutex_unlock(&mutex);
    return TACHYON_SUCCESS;
}

void ty_fork_unwatch(struct fork_watch *watch) {
    pthread_mutex_lock(&mutex);
    if (watch->link) {
        *watch->link = watch->next;
        if (watch->next)
            watch->next->link = watch->link;
        watch->link = NULL;
    }
    pthread_mutex_unlock(&mutex);
}
