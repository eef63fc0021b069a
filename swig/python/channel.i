/* SPDX-License-Identifier: Apache-2.0 */
/* ChannelBase: what tachyon.Channel is made of. */
%{
#include "channel.c"
%}
OBJECT_TYPE(ChannelBase, BASE_TYPE, channel_traverse)
%feature("python:tp_new") ChannelBase "channel_new";
%feature("python:tp_init") ChannelBase "channel_init";
%feature("python:tp_dealloc") ChannelBase "channel_dealloc";
%feature("python:tp_call") ChannelBase "PyVectorcall_Call";
%feature("python:tp_methods") ChannelBase "channel_methods";
%feature("python:tp_members") ChannelBase "channel_members";
%feature("python:tp_iter") ChannelBase "PyObject_SelfIter";
%feature("python:tp_iternext") ChannelBase "channel_next";
%feature("docstring") ChannelBase "The methods of Channel that run once a message.";
typedef struct {} ChannelBase;

%init %{
    channel_module_init();
%}
