/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with fields. The class of a message, made in Python from its description, is
   derived from Record and has a Field, a descriptor, for each of its fields; Layout is
   what the class knows of its bytes.

   A record is one of four kinds. COPY has its bytes behind itself. GUARD is what
   channel.send() gives: its bytes are a slot of the ring, or go there at its end, and the
   TxGuard that it owns is asked for them before each use. PART is a struct in a copy,
   which it owns, and VIEW one in a slot: it counts among the views of the TxGuard that it
   owns. None of them holds what may hold it, but for its class, so the garbage collector
   is not shown any. */
#ifndef TACHYON_PYTHON_RECORD_H
#define TACHYON_PYTHON_RECORD_H

#include "messages.h"

typedef struct Field Field;

typedef struct Layout {
    PyObject base;
    PyObject *fields; /* a tuple of Field, as they are declared */
    Py_ssize_t size;
    Py_ssize_t smallest; /* message that is one; what it does not have is zero */
    bool grows;          /* there may be larger ones, whose end means nothing here */
    uint32_t type_id;
    Pool copies, others; /* of records with and without bytes of their own */
} Layout;

typedef enum { RECORD_COPY, RECORD_GUARD, RECORD_PART, RECORD_VIEW } RecordKind;

typedef struct Record {
    PyVarObject base;
    unsigned char *data;
    Py_ssize_t size;
    Layout *layout;
    PyObject *owner; /* NULL of a copy, and of a guard that was left */
    RecordKind kind;
    unsigned char copy[]; /* ob_size bytes */
} Record;

typedef PyObject *(*GetItem)(const Field *field, const unsigned char *from);
typedef int (*PutItem)(const Field *field, unsigned char *to, PyObject *value);

struct Field {
    PyObject base;
    PyTypeObject *owner;
    PyObject *name;    /* of the attribute, interned */
    PyObject *c_name;  /* which may be a keyword of Python */
    PyObject *title;   /* with the name of the class before it */
    PyObject *aliases; /* a tuple of further attributes */
    PyObject *held;    /* of an enum its members by value, of a struct its class */
    Layout *part;      /* of that class, else NULL */
    GetItem get, get_number; /* that below an enumerator */
    PutItem put;
    Py_ssize_t offset, size; /* of all items */
    Py_ssize_t item_size;
    int dimensions; /* 0: one item */
    Py_ssize_t *shape, *strides;
    bool plain;      /* a memoryview knows how to read an item */
    char format[24]; /* of an item in a buffer */
};

extern PyTypeObject *Record_Type, *Field_Type;

static inline Py_ssize_t field_count(const Layout *layout) {
    return PyTuple_GET_SIZE(layout->fields);
}

static inline Field *field_at(const Layout *layout, Py_ssize_t index) {
    return (Field *)PyTuple_GET_ITEM(layout->fields, index);
}

/* ---- Records ---- */

unsigned char *record_raise_left(void);

/* Where the bytes are now: what runs code of the user may have left the guard, so ask
   after that. NULL with an exception. */
static inline unsigned char *record_memory(const Record *record) {
    if (record->kind == RECORD_GUARD &&
        (!record->owner || ((Guard *)record->owner)->state != GUARD_OPEN))
        return record_raise_left();
    return record->data;
}

/* What keeps the memory of a record, for one who has a pointer into it: a new reference.
   If that is a guard, it counts one more view. */
PyObject *record_hold(const Record *record, bool *is_guard);
void record_let_go(PyObject *holder, bool is_guard);

/* Of a message class, borrowed: NULL with an exception. */
Layout *layout_of(PyObject *cls);

/* Without bytes, whose are the caller's matter; NULL with an exception. */
Record *record_allocate(PyTypeObject *type, Layout *layout, RecordKind kind);

/* Fill a copy with a message of any version. It needs no lock of the interpreter. */
void record_take(Record *record, const void *data, size_t size);

/* A message in a slot; takes the guard over. */
PyObject *record_in_slot(PyTypeObject *type, Layout *layout, TxGuard *tx);

/* ---- Fields ---- */

/* Values by position and by keyword as bytes; what is not given is zero. `others`, unless
   NULL, gets what is given for "timeout" and "block" where these are no fields. */
int record_fill(const Layout *layout, unsigned char *to, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, PyObject **others);

/* (attribute, name in C, kind, shape, offset, what it holds, aliases) of a class. */
Field *field_new(PyObject *cls, PyObject *row, Py_ssize_t struct_size);

/* As a descriptor. */
PyObject *field_get(PyObject *descriptor, PyObject *object, PyObject *type);
int field_set(PyObject *descriptor, PyObject *object, PyObject *value);

/* What the attribute gives; and with arrays as nested lists of Python's own. */
PyObject *field_value(const Field *field, const Record *record);
PyObject *field_plain(const Field *field, const Record *record);

/* An array of the record's own memory. */
PyObject *array_of(const Field *field, const Record *record);
int array_init(void);

/* What is wrong with an attribute that there is not: raises AttributeError. */
void raise_no_field(PyObject *exception, const Layout *layout, PyTypeObject *type,
                    PyObject *name);
int field_init(void);

/* ---- Items ---- */

/* How to read and write an item of a kind: 0, or -1 where there is none of the name. */
int item_of_kind(Field *field, const char *kind);

#endif
