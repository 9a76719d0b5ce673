// SPDX-FileCopyrightText: 2026 The kontenumfs authors
// SPDX-License-Identifier: Apache-2.0
/* The kernel's copy_file_range requests, for which pyfuse3 has no handler, its writes, and who calls.
 *
 * Loaded with RTLD_GLOBAL before pyfuse3, this module stands before libfuse: pyfuse3's call to
 * fuse_session_new() arrives here, and goes on to libfuse with one more entry in its table of
 * operations. Nothing is linked with libfuse: its functions are looked up in the library that the
 * caller is linked with, so that there are never two of them. The GIL guards what is static here.
 */
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#define FUSE_USE_VERSION 32
#include <fuse3/fuse_lowlevel.h>

#define LAST_ERRNO 511 /* the kernel ignores an answer with a larger one, and the process hangs */

/* Linux 6.18 asks for COPY_FILE_RANGE_64 first, which libfuse knows since 3.18. What others answer,
 * ENOSYS, turns off COPY_FILE_RANGE too when two requests get it at once. So they are shown the old
 * request, of the same layout; the answers differ in the width of a number alone, 32 or 64 bits of
 * the same 8 bytes.
 */
#define COPY_FILE_RANGE 47
#define COPY_FILE_RANGE_64 53
#define KNOWS_64 318
#define MOST_32 0xfffff000 /* what the kernel asks for at most where it expects 32 bits */
#define LITTLE_ENDIAN_HERE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

typedef struct fuse_lowlevel_ops Operations;

typedef struct Request {
    PyObject_HEAD
    fuse_req_t req; /* NULL: libfuse has its answer, or is gone */
    size_t length;
    int answered; /* by Python */
    struct Request *next, **link;
} Request;

static PyTypeObject RequestType;
static Request *waiting;   /* the requests whose req is not NULL */
static PyObject *callback; /* of the session; NULL: the kernel is told ENOSYS */
static PyObject *writer;   /* takes writes; NULL: pyfuse3 has them */
static int serving;        /* whether a session with our entry exists */
static int knows_64;       /* whether libfuse knows COPY_FILE_RANGE_64 */
static uint32_t caller;    /* the thread whose request is being handled; 0: unknown */
static int (*reply_err)(fuse_req_t, int);
static int (*reply_write)(fuse_req_t, size_t);
static void (*process)(struct fuse_session *, const struct fuse_buf *);
static void (*next_destroy)(void *);
static void (*next_write)(fuse_req_t, fuse_ino_t, struct fuse_bufvec *, off_t,
                          struct fuse_file_info *);
static size_t (*bytes_in)(const struct fuse_bufvec *);
static ssize_t (*copy_bytes)(struct fuse_bufvec *, struct fuse_bufvec *, int);

static fuse_req_t take(Request *request)
{
    fuse_req_t req = request->req;
    if (req) {
        *request->link = request->next;
        if (request->next)
            request->next->link = request->link;
        request->req = NULL;
    }
    return req;
}

static void give_up(Request *request)
{
    fuse_req_t req = take(request);
    if (req)
        reply_err(req, EIO);
}

static void request_dealloc(PyObject *self)
{
    give_up((Request *)self);
    PyObject_Free(self);
}

static PyTypeObject RequestType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "kontenumfs.fuse._copy_range.Request",
    .tp_doc = "A request that waits for its one answer; dropped without one, it is EIO.",
    .tp_basicsize = sizeof(Request),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = request_dealloc,
};

/* A request for a Python function, which will answer it in its own time. */
static Request *request_of(fuse_req_t req, size_t length)
{
    Request *request = PyObject_New(Request, &RequestType);

    if (request) {
        request->req = req;
        request->length = length;
        request->answered = 0;
        request->next = waiting;
        request->link = &waiting;
        if (waiting)
            waiting->link = &request->next;
        waiting = request;
    }
    return request;
}

/* Hand a request over with the arguments in `args`, which are ours. */
static void hand_over(PyObject *called, Request *request, PyObject *args)
{
    PyObject *result = args ? PyObject_Call(called, args, NULL) : NULL;

    if (!result) {
        PyErr_WriteUnraisable(called);
        give_up(request);
    }
    Py_XDECREF(result);
    Py_XDECREF(args);
}

/* A write that waits for memory or the store must not hold the buffer that pyfuse3 receives in, nor
 * the task that does it: pyfuse3 has as many of both as it has requests under way.
 */
static void on_write(fuse_req_t req, fuse_ino_t inode, struct fuse_bufvec *data, off_t offset,
                     struct fuse_file_info *info)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *called = Py_XNewRef(writer), *bytes = NULL;
    Request *request = NULL;

    if (called) {
        size_t length = bytes_in(data) - data->off;
        struct fuse_bufvec copy = FUSE_BUFVEC_INIT(length);

        bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
        if (bytes)
            copy.buf[0].mem = PyBytes_AS_STRING(bytes);
        if (bytes && copy_bytes(&copy, data, 0) == (ssize_t)length)
            request = request_of(req, length);
        PyErr_Clear();
        if (request)
            hand_over(called, request,
                      Py_BuildValue("OKLO", request, (unsigned long long)info->fh,
                                    (long long)offset, bytes));
        else
            reply_err(req, bytes ? EIO : ENOMEM);
        Py_XDECREF((PyObject *)request);
        Py_XDECREF(bytes);
        Py_DECREF(called);
        PyGILState_Release(gil);
        return;
    }
    PyGILState_Release(gil);
    next_write(req, inode, data, offset, info);
}

static void on_copy(fuse_req_t req, fuse_ino_t inode_in, off_t off_in, struct fuse_file_info *in,
                    fuse_ino_t inode_out, off_t off_out, struct fuse_file_info *out, size_t length,
                    int flags)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *called = Py_XNewRef(callback);
    Request *request;

    if (!knows_64 && length > MOST_32)
        length = MOST_32;
    request = called ? request_of(req, length) : NULL;
    if (!request) {
        PyErr_Clear();
        reply_err(req, called ? ENOMEM : ENOSYS);
    } else {
        hand_over(called, request,
                  Py_BuildValue("OKLKKLKKi", request, (unsigned long long)inode_in,
                                (long long)off_in, (unsigned long long)in->fh,
                                (unsigned long long)inode_out, (long long)off_out,
                                (unsigned long long)out->fh, (unsigned long long)length, flags));
        Py_DECREF(request);
    }
    Py_XDECREF(called);
    PyGILState_Release(gil);
}

/* The session ends: libfuse's requests are not to be touched from here on. */
static void on_destroy(void *userdata)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    while (waiting)
        give_up(waiting);
    serving = 0;
    Py_CLEAR(callback);
    Py_CLEAR(writer);
    PyGILState_Release(gil);
    if (next_destroy)
        next_destroy(userdata);
}

/* The function `name` of the libfuse that `caller`, an address in pyfuse3, is linked with. */
static void *in_libfuse_of(void *caller, const char *name)
{
    Dl_info info = {0};
    void *library = NULL, *found = NULL;
    if (dladdr(caller, &info))
        library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (library) {
        found = dlsym(library, name);
        if (!found) /* newer versions keep it for programs built with older ones only */
            found = dlvsym(library, name, "FUSE_3.0");
        dlclose(library); /* the caller keeps it loaded */
    }
    if (!found)
        fprintf(stderr, "kontenumfs: %s is not in its caller's libfuse\n", name);
    return found;
}

/* A copy of the table with our entries in it, or NULL where there is no way. */
static Operations *extended(void *caller, const Operations *operations, size_t *size)
{
    size_t least = offsetof(Operations, copy_file_range) + sizeof operations->copy_file_range;
    size_t room = *size > least ? *size : least;
    int (*version)(void) = in_libfuse_of(caller, "fuse_version");
    Operations *table;

    reply_err = in_libfuse_of(caller, "fuse_reply_err");
    reply_write = in_libfuse_of(caller, "fuse_reply_write");
    if (!operations || !version || !reply_err || !reply_write || !(table = calloc(1, room)))
        return NULL;
    knows_64 = version() >= KNOWS_64;
    memcpy(table, operations, *size);
    if (table->destroy != on_destroy)
        next_destroy = table->destroy;
    table->destroy = on_destroy;
    table->copy_file_range = on_copy;
    bytes_in = in_libfuse_of(caller, "fuse_buf_size");
    copy_bytes = in_libfuse_of(caller, "fuse_buf_copy");
    if (table->write_buf != on_write)
        next_write = table->write_buf;
    if (next_write && bytes_in && copy_bytes)
        table->write_buf = on_write;
    *size = room;
    return table;
}

/* What libfuse exports for fuse_session_new(): since 3.17 the second, and its header makes the first
 * a macro. The names are given to the assembler, as the declarations differ between versions.
 */
typedef struct fuse_session *New(struct fuse_args *, const Operations *, size_t, void *);
typedef struct fuse_session *NewVersioned(struct fuse_args *, const Operations *, size_t,
                                          const void *, void *);
__attribute__((visibility("default"))) New new_session __asm__("fuse_session_new");
__attribute__((visibility("default"))) NewVersioned new_session_versioned
    __asm__("fuse_session_new_versioned");
__attribute__((visibility("default"))) void process_request(
    struct fuse_session *session, const struct fuse_buf *buf) __asm__("fuse_session_process_buf");

static struct fuse_session *open_session(void *caller, struct fuse_args *args,
                                         const Operations *operations, size_t size,
                                         const void *version, void *userdata)
{
    const char *name = version ? "fuse_session_new_versioned" : "fuse_session_new";
    void *real = in_libfuse_of(caller, name);
    Operations *table = extended(caller, operations, &size);
    struct fuse_session *session = NULL;

    if (table)
        operations = table;
    if (real && version)
        session = ((NewVersioned *)real)(args, operations, size, version, userdata);
    else if (real)
        session = ((New *)real)(args, operations, size, userdata);
    serving = session && table;
    free(table); /* libfuse has copied it */
    return session;
}

struct fuse_session *new_session(struct fuse_args *args, const Operations *operations, size_t size,
                                 void *userdata)
{
    return open_session(__builtin_return_address(0), args, operations, size, NULL, userdata);
}

struct fuse_session *new_session_versioned(struct fuse_args *args, const Operations *operations,
                                           size_t size, const void *version, void *userdata)
{
    return open_session(__builtin_return_address(0), args, operations, size, version, userdata);
}

void process_request(struct fuse_session *session, const struct fuse_buf *buf)
{
    /* struct fuse_in_header (linux/fuse.h): length, opcode, unique, nodeid, uid, gid, pid */
    uint32_t *header = buf->flags & FUSE_BUF_IS_FD ? NULL : buf->mem;

    caller = header && buf->size >= 10 * sizeof *header ? header[8] : 0;

    if (LITTLE_ENDIAN_HERE && serving && !knows_64 && header &&
        buf->size >= 2 * sizeof *header && header[1] == COPY_FILE_RANGE_64)
        header[1] = COPY_FILE_RANGE;
    if (!process)
        process = in_libfuse_of(__builtin_return_address(0), "fuse_session_process_buf");
    process(session, buf);
}

static PyObject *set_callback(PyObject *module, PyObject *called)
{
    (void)module;
    Py_XSETREF(callback, called == Py_None ? NULL : Py_NewRef(called));
    return PyBool_FromLong(serving && callback);
}

static PyObject *set_writer(PyObject *module, PyObject *called)
{
    (void)module;
    Py_XSETREF(writer, called == Py_None ? NULL : Py_NewRef(called));
    return PyBool_FromLong(serving && writer && next_write && bytes_in && copy_bytes);
}

/* Answer a request, once: with a count of bytes, or with an errno. */
static PyObject *reply(PyObject *args, int failed)
{
    Request *request;
    Py_ssize_t number;
    fuse_req_t req;
    int result = 0;

    if (!PyArg_ParseTuple(args, "O!n", &RequestType, &request, &number))
        return NULL;
    if (request->answered)
        return PyErr_Format(PyExc_ValueError, "the request has been answered");
    if (failed && (number < 1 || number > LAST_ERRNO))
        return PyErr_Format(PyExc_ValueError, "%zd is no errno", number);
    if (!failed && (number < 0 || (size_t)number > request->length))
        return PyErr_Format(PyExc_ValueError, "%zd of %zu bytes", number, request->length);
    request->answered = 1;
    req = take(request);
    if (req)
        result = failed ? reply_err(req, (int)number) : reply_write(req, (size_t)number);
    if (result == 0 || result == -ENOENT) /* the latter: whoever asked has gone */
        Py_RETURN_NONE;
    errno = -result;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *reply_written(PyObject *module, PyObject *args)
{
    (void)module;
    return reply(args, 0);
}

static PyObject *reply_error(PyObject *module, PyObject *args)
{
    (void)module;
    return reply(args, 1);
}

static PyObject *told_caller(PyObject *module, PyObject *args)
{
    (void)module;
    (void)args;
    return PyLong_FromUnsignedLong(caller);
}

static PyMethodDef methods[] = {
    {"caller", told_caller, METH_NOARGS, "The thread whose request came last, or 0."},
    {"set_callback", set_callback, METH_O, "Have requests handed to a function, or to None."},
    {"set_writer", set_writer, METH_O, "Have writes handed to a function, or to pyfuse3: None."},
    {"reply_written", reply_written, METH_VARARGS, "Answer that so many bytes are copied."},
    {"reply_error", reply_error, METH_VARARGS, "Answer with an errno."},
    {0},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "kontenumfs.fuse._copy_range",
    .m_doc = "The kernel's copy_file_range requests, for which pyfuse3 has no handler.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__copy_range(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddType(module, &RequestType) < 0)
        Py_CLEAR(module);
    return module;
}
