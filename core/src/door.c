/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door: an epoll set of the sockets of an opening and of a timer, so that waiting
 * on one descriptor is enough for what arrives and for the deadlines of each step. It
 * costs two descriptors, and only those who ask for it.
 */
#include "door.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

static bool control(const struct door *door, int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events};
    return door->set < 0 || epoll_ctl(door->set, operation, fd, &event) == 0;
}

bool ty_door_open(struct door *door) {
    door->set = epoll_create1(EPOLL_CLOEXEC);
    door->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (door->set >= 0 && door->timer >= 0 && ty_door_watch(door, door->timer, EPOLLIN))
        return true;
    ty_door_close(door);
    return false;
}

void ty_door_close(struct door *door) {
    ty_close(&door->set);
    ty_close(&door->timer);
}

bool ty_door_watch(const struct door *door, int fd, uint32_t events) {
    return control(door, EPOLL_CTL_ADD, fd, events);
}

bool ty_door_change(const struct door *door, int fd, uint32_t events) {
    return control(door, EPOLL_CTL_MOD, fd, events);
}

/* Closing a descriptor would do, unless a raw clone holds a copy of it. */
void ty_door_forget(const struct door *door, int fd) {
    control(door, EPOLL_CTL_DEL, fd, 0);
}

void ty_door_ring_at(const struct door *door, int64_t deadline) {
    struct itimerspec when = {0}; /* never */
    if (door->timer < 0)
        return;
    if (deadline != TY_NEVER) {
        int64_t at = deadline > 0 ? deadline : 1; /* 0 would mean never */
        when.it_value.tv_sec = (time_t)(at / 1000000000);
        when.it_value.tv_nsec = (long)(at % 1000000000);
    }
    timerfd_settime(door->timer, TFD_TIMER_ABSTIME, &when, NULL);
}
