/* SPDX-License-Identifier: Apache-2.0 */
/* What channels of struct formats, of dtypes and of message classes share. */
#ifndef TACHYON_PYTHON_CHANNEL_H
#define TACHYON_PYTHON_CHANNEL_H

#include "record.h"
#include "slots.h"

typedef struct ChannelBase {
    SwigPyObject base;
    vectorcallfunc vectorcall;
    PyObject *bus;
    PyObject *layout; /* as the user gave it: a dtype, a format, a message class */
    PyObject *known;  /* dtype of an array or format of a buffer that fits, if any */
    PyObject *pack; /* of a struct.Struct; NULL where that cannot express the layout */
    PyObject *unpack;
    PyObject *refusal; /* and then why not */
    Py_ssize_t size;
    Py_ssize_t smallest; /* message that is received */
    size_t more;         /* bytes that it may have beyond that */
    uint32_t type_id;
} ChannelBase;

typedef struct MessageChannel {
    ChannelBase channel;
    Layout *messages; /* of the class that is the channel's layout */
} MessageChannel;

/* What is the same in both: `channel` is new, and zero. */
static inline void channel_set(ChannelBase *channel, swig_type_info *info,
                               vectorcallfunc call, PyObject *bus, PyObject *layout) {
    channel->base.ptr = channel;
    channel->base.ty = info;
    channel->vectorcall = call;
    channel->bus = Py_NewRef(bus);
    channel->layout = Py_NewRef(layout);
}

static inline Wanted wanted_of(const ChannelBase *channel) {
    return (Wanted){.size = (size_t)channel->smallest,
                    .more = channel->more,
                    .type_id = channel->type_id};
}

METHOD(channel_send_batch);
METHOD(channel_recv_batch_into);
METHOD(channel_drain);

#endif
