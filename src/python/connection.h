/* connection.h -- one end of a pipe: connection.c makes and closes it, traffic.c sends and receives.  */
#ifndef PYCMP_CONNECTION_H
#define PYCMP_CONNECTION_H

#include "handle.h"
#include "parcel.h"

#define CLOSED (UINT32_C(1) << 31) /* of users: no more calls */
#define GONE (UINT32_C(1) << 30)   /* and the end is given up; below: calls in progress */

typedef struct {
    struct pycmp_handle handle;
    struct cmp_channel_end end;
    struct cmp_bell bell;
    cmp_word users;
    cmp_word era;    /* the process that counts them */
    cmp_word64 buffer; /* one for receiving, that nobody uses; or 0 */
    int fd;          /* a socket; the other end's is the other one of the pair */
    bool deaf;       /* it was too long a message for recv_bytes(maxlength) */
    PyObject *dumps; /* what objects are written and read by; NULL: pickle */
    PyObject *loads;
} Connection;

static inline Connection *pycmp_connection(PyObject *self)
{
    return (Connection *)self;
}

/* A call begins, of any kind, or one that receives or sends: until pycmp_done(self, era) the end
   is not given up.  0, or -1 and an OSError.  */
int pycmp_begin(PyObject *self, uint32_t *era);
int pycmp_begin_read(PyObject *self, uint32_t *era);
int pycmp_begin_write(PyObject *self, uint32_t *era);
void pycmp_done(PyObject *self, uint32_t era);

void pycmp_connection_close(PyObject *self);

/* As pycmp_block, of one's end: OSError once a signal handler has closed it, here or in the child of
   a fork that it made.  */
int pycmp_block_open(struct cmp_channel_end *end, int (*op)(void *, int64_t), void *obj,
                     int64_t deadline_ns);

/* Methods, in traffic.c.  */
PyObject *pycmp_connection_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames);
PyObject *pycmp_connection_recv(PyObject *self, PyObject *none);
PyObject *pycmp_connection_send_bytes(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                      PyObject *kwnames);
PyObject *pycmp_connection_recv_bytes(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                      PyObject *kwnames);
PyObject *pycmp_connection_recv_bytes_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                           PyObject *kwnames);

#endif /* PYCMP_CONNECTION_H */
