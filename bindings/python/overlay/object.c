/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of SWIG's types that this module allocates itself. */
#include "slots.h"

struct Types types;

static int add_method(PyTypeObject *type, PyMethodDef *method) {
    PyObject *descriptor = PyDescr_NewMethod(type, method);
    int added = descriptor
                    ? PyDict_SetItemString(type->tp_dict, method->ml_name, descriptor)
                    : -1;
    Py_XDECREF(descriptor);
    PyType_Modified(type);
    return added;
}

/* Beside SWIG's own methods, not in their place: no table to fall out of step. */
int add_methods(swig_type_info *info, PyMethodDef *methods) {
    for (PyMethodDef *method = methods; method->ml_name; ++method)
        if (add_method(type_of(info), method) < 0)
            return -1;
    return 0;
}

PyObject *import_from(const char *module, const char *name) {
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported ? PyObject_GetAttrString(imported, name) : NULL;
    Py_XDECREF(imported);
    return found;
}

PyObject *ask(const char *function, const char *format, ...) {
    PyObject *callable = import_from("tachyon.arguments", function);
    va_list values;
    va_start(values, format);
    PyObject *arguments = callable ? Py_VaBuildValue(format, values) : NULL;
    va_end(values);
    PyObject *answer = arguments ? PyObject_CallObject(callable, arguments) : NULL;
    Py_XDECREF(arguments);
    Py_XDECREF(callable);
    return answer;
}

/* Give a class the methods in C of its base once more, as its own: the interpreter goes
   straight to a function only where that belongs to exactly the object's type. */
PyObject *direct_calls(PyObject *cls) {
    if (!PyType_Check(cls)) {
        PyErr_Format(PyExc_TypeError, "direct_calls() takes a class, not %R", cls);
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *name, *method;
    Py_ssize_t position = 0;
    while (PyDict_Next(type->tp_base->tp_dict, &position, &name, &method)) {
        if (!Py_IS_TYPE(method, &PyMethodDescr_Type))
            continue;
        int own = PyDict_Contains(type->tp_dict, name);
        if (own < 0 ||
            (!own && add_method(type, ((PyMethodDescrObject *)method)->d_method) < 0)) {
            return NULL;
        }
    }
    if (type->tp_call == type->tp_base->tp_call) /* not inherited with tp_call */
        type->tp_flags |= type->tp_base->tp_flags & Py_TPFLAGS_HAVE_VECTORCALL;
    return Py_NewRef(cls);
}

/* Without a collection, whose finalizers may use the bus: its slot has no guard yet. */
void *object_allocate(swig_type_info *info) {
    int collects = PyGC_Disable();
    SwigPyObject *object = PyObject_GC_New(SwigPyObject, type_of(info));
    if (collects)
        PyGC_Enable();
    if (object) {
        object->ptr = object;
        object->ty = info;
        object->own = 0;
        object->next = NULL;
        object->swigdict = NULL;
        object->weakreflist = NULL;
    }
    return object;
}

static void object_clear_weak_references(SwigPyObject *object) {
    if (object->weakreflist)
        PyObject_ClearWeakRefs((PyObject *)object);
}

/* The end of tp_dealloc for an object from object_new(). */
void object_recycle(Pool *pool, void *memory) {
    SwigPyObject *object = memory;
    PyTypeObject *type = Py_TYPE(object);
    object_clear_weak_references(object);
    if (pool->count < POOL_SIZE)
        pool->item[pool->count++] = object;
    else
        PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* The end of tp_dealloc for an object from tp_alloc. */
void object_free(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    object_clear_weak_references((SwigPyObject *)object);
    type->tp_free(object);
    Py_DECREF(type);
}

void pool_empty(Pool *pool) {
    while (pool->count > 0)
        PyObject_GC_Del(pool->item[--pool->count]);
}

/* tp_new of types that only a bus makes: an instance from elsewhere has no struct. */
PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    PyErr_Format(PyExc_TypeError, "%s objects are made by a bus only", type->tp_name);
    return NULL;
}

/* Of objects that hold nothing but their type. */
int struct_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

/* ---- Plain structs ---- */

/* A copy of a plain struct as an object of SWIG's type for it. */
PyObject *struct_object(swig_type_info *info, const void *data, size_t size) {
    PyTypeObject *type = type_of(info);
    SwigPyObject *object = (SwigPyObject *)type->tp_alloc(type, 0);
    if (!object)
        return NULL;
    object->ty = info;
    object->ptr = PyMem_Malloc(size);
    if (!object->ptr) {
        Py_DECREF(object);
        return PyErr_NoMemory();
    }
    memcpy(object->ptr, data, size);
    return (PyObject *)object;
}

/* Those of an array, `size` bytes each, as a list. */
PyObject *struct_list(swig_type_info *info, const void *data, size_t size,
                      size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; ++i) {
        PyObject *item = struct_object(info, (const char *)data + i * size, size);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

void struct_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    PyMem_Free(((SwigPyObject *)self)->ptr);
    object_free(self);
}

PyMemberDef no_members[] = {{NULL, 0, 0, 0, NULL}};
PyGetSetDef no_getset[] = {{NULL, NULL, NULL, NULL, NULL}};
