/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: who may import it, what a second import gives, and which of
   SWIG's additions nobody should find in a public class. */

/* ---- Where it may be imported ---- */

/* The types and exceptions are one for the process, so one interpreter has them. */
static int refuse_subinterpreters(PyObject *module) {
    (void)module;
    if (PyInterpreterState_Get() == PyInterpreterState_Main()) {
        return 0;
    }
    PyErr_SetString(PyExc_ImportError, "tachyon does not run in subinterpreters");
    return -1;
}

/* Before all that SWIG does, which would touch what the main interpreter uses: its
   array of slots names Py_mod_exec once, and so has one more. */
enum { MOD_EXEC = Py_mod_exec };
#undef Py_mod_exec
#define Py_mod_exec                                                                    \
    MOD_EXEC, (void *)(uintptr_t)refuse_subinterpreters                                \
    }                                                                                  \
    , {                                                                                \
        MOD_EXEC

/* ---- Importing it anew ---- */

static PyObject *first_contents; /* of the module as it was imported first */

/* Where sys.modules was purged, buses may still be open: the module has the same types
   and exceptions again. 1 where it has, 0 at the first import, -1 with an exception. */
static int module_restore(PyObject *module) {
    if (!first_contents) {
        return 0;
    }
    PyObject *contents = PyModule_GetDict(module);
    PyObject *all = PyDict_GetItemString(first_contents, "__all__");
    if (PyDict_SetItemString(contents, "__all__", all) < 0 ||
        PyDict_Merge(contents, first_contents, 0) < 0) {
        return -1;
    }
    return 1;
}

/* ---- What SWIG has added ---- */

/* A docstring of several lines begins with a newline, which hides its signature. */
static void show_signature(PyObject *descriptor) {
    if (Py_IS_TYPE(descriptor, &PyMethodDescr_Type)) {
        PyMethodDef *method = ((PyMethodDescrObject *)descriptor)->d_method;
        if (method->ml_doc && method->ml_doc[0] == '\n') {
            ++method->ml_doc;
        }
    }
}

static int delete_names(PyObject *dict, const char *const *names) {
    for (; *names; ++names) {
        if (PyDict_GetItemString(dict, *names) &&
            PyDict_DelItemString(dict, *names) < 0) {
            return -1;
        }
    }
    return 0;
}

/* No way past us to the struct, and no dictionary, which would keep a mistyped
   attribute in silence. */
static int finish_type(PyTypeObject *type) {
    static const char *const unwanted[] = {"this", "thisown", "__dict__", NULL};
    PyObject *name, *value;
    Py_ssize_t position = 0;
    if (delete_names(type->tp_dict, unwanted) < 0) {
        return -1;
    }
    while (PyDict_Next(type->tp_dict, &position, &name, &value)) {
        show_signature(value);
    }
    type->tp_dictoffset = 0;
    PyType_Modified(type);
    return 0;
}

static int rename_type(PyObject *type, const char *name) {
    PyObject *text = PyUnicode_FromString(name);
    PyObject *module = PyUnicode_FromString("tachyon._native");
    int renamed = text && module &&
                  PyObject_SetAttrString(type, "__name__", text) == 0 &&
                  PyObject_SetAttrString(type, "__qualname__", text) == 0 &&
                  PyObject_SetAttrString(type, "__module__", module) == 0;
    Py_XDECREF(text);
    Py_XDECREF(module);
    return renamed ? 0 : -1;
}

/* The base of all of them, which no other module of SWIG's shares. */
static int finish_base(PyObject *base) {
    static const char *const unwanted[] = {"acquire", "append",  "disown", "next",
                                           "own",     "__int__", NULL};
    for (const char *const *name = unwanted; *name; ++name) {
        if (PyObject_DelAttrString(base, *name) < 0) { /* and its slot everywhere */
            return -1;
        }
    }
    return rename_type(base, "Object") < 0 ||
                   rename_type((PyObject *)SwigPyObjectType_Type(), "ObjectType") < 0
               ? -1
               : 0;
}

static int module_finish(PyObject *module) {
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyModule_GetDict(module), &position, &name, &value)) {
        if (PyType_Check(value) &&
            PyType_IsSubtype((PyTypeObject *)value, SwigPyObject_Type()) &&
            finish_type((PyTypeObject *)value) < 0) {
            return -1;
        }
    }
    if (finish_base((PyObject *)SwigPyObject_Type()) < 0) {
        return -1;
    }
    first_contents = PyDict_Copy(PyModule_GetDict(module));
    return first_contents ? 0 : -1;
}
