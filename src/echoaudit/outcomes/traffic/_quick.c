/* The quick way in C: what ``scan.Scanner.feed`` does for most packets, on whole buffers.

   Takes packets with plain headers. One that belongs to a known flow and needs no look it counts: a
   bare acknowledgement, the next bytes of a TCP stream, a datagram of a flow whose name is no longer
   looked for. Any other it hands to Python, taken apart (``Scanner._stream``, ``_datagram``). At
   packets whose headers are not plain it stops and leaves them to Python, untouched. It keeps no
   state of its own and reads no byte before it checked that it is there.
   ``docs/reliability.md`` says how both ways are held against each other. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

enum { FIN = 1, SYN = 2, RST = 4, TCP = 6, UDP = 17, ENHANCED = 6 };
enum { QUIET = 300 }; /* seconds, as in flows.py */
enum { INTERFACE = 2 }; /* as in quick.py: of the functions here; another number is not used */
enum { ERROR = -1, OTHER = 0, TAKEN = 1 };

/* What both ways count of one direction of a flow; ``flows.Half`` inherits from it. */
typedef struct {
    PyObject_HEAD
    unsigned long long packets, octets, payload;
    long long next, want;
    double last;
    char ended;
} Counters;

static PyTypeObject *counters_type;

typedef struct {
    const uint8_t *data;
    Py_ssize_t size;
    int big;
} Bytes;

typedef struct {
    PyObject *tcp, *udp; /* halves of flows by key */
    PyObject *stream, *datagram; /* what takes packets that must be looked into */
    unsigned long long packets, octets;
} Run;

typedef struct {
    const uint8_t *data;
    uint32_t captured, original;
    double time;
} Packet;

static uint32_t big16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static uint32_t big32(const uint8_t *p) { return big16(p) << 16 | big16(p + 2); }

/* A number of the file's byte order. */
static uint32_t word(const Bytes *file, Py_ssize_t at) {
    const uint8_t *p = file->data + at;
    if (file->big) return big32(p);
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* --- one packet -------------------------------------------------------------------------------- */

typedef struct {
    int protocol;
    int32_t length; /* bytes behind the IP header */
    const uint8_t *key;
    Py_ssize_t key_size; /* addresses and ports */
} Headers;

static int is_plain_ipv4(const uint8_t *p) { return p[12] == 8 && p[13] == 0 && p[14] == 0x45; }

static int is_plain_ipv6(const uint8_t *p) {
    return p[12] == 0x86 && p[13] == 0xDD && p[14] >> 4 == 6;
}

/* Ethernet, then IPv4 without options or fragments, or IPv6 without extension headers. */
static int read_headers(const Packet *packet, Headers *found) {
    const uint8_t *p = packet->data;
    if (packet->captured < 54) return 0;
    if (is_plain_ipv4(p)) {
        if (big16(p + 20) & 0x3FFF) return 0;
        *found = (Headers){p[23], (int32_t)big16(p + 16) - 20, p + 26, 12};
    } else if (packet->captured >= 74 && is_plain_ipv6(p)) {
        *found = (Headers){p[20], (int32_t)big16(p + 18), p + 22, 36};
    } else {
        return 0;
    }
    return found->protocol == TCP || found->protocol == UDP;
}

/* The direction that a packet belongs to, borrowed; NULL when there is none, or an error is set. */
static Counters *find(PyObject *table, PyObject *key) {
    PyObject *half = PyDict_GetItemWithError(table, key);
    if (half == NULL) return NULL;
    if (!PyObject_TypeCheck(half, counters_type)) {
        PyErr_SetString(PyExc_TypeError, "a table of flows may hold Counters only");
        return NULL;
    }
    return (Counters *)half;
}

static void count(Counters *half, const Packet *packet) {
    half->packets += 1;
    half->octets += packet->original;
    half->last = packet->time;
}

static int take_segment(Counters *half, const Headers *headers, const Packet *packet) {
    const uint8_t *tcp = headers->key + headers->key_size;
    long long sequence = big32(tcp);
    uint32_t flags = big16(tcp + 8);
    if (flags & (SYN | RST) || flags < 0x5000) return OTHER;
    int32_t carried = headers->length - (int32_t)(flags >> 12 << 2);
    if (carried < 0 || (carried > 0 && sequence != half->next)) return OTHER;
    count(half, packet);
    if (carried) half->next = sequence + carried;
    if (flags & FIN) half->ended = 1;
    return TAKEN;
}

static int take_datagram(Counters *half, const Headers *headers, const Packet *packet) {
    if (half->want || headers->length < 8 || packet->time - half->last > QUIET) return OTHER;
    count(half, packet);
    half->payload += (unsigned)(headers->length - 8);
    return TAKEN;
}

/* Hand a packet to Python: key, what was captured of the segment, its length, and its frame. */
static int look(PyObject *taker, PyObject *key, const Headers *headers, const Packet *packet) {
    const uint8_t *data = headers->key + headers->key_size - 4;
    Py_ssize_t size = packet->captured - (data - packet->data);
    if (headers->length < 20) return OTHER;
    if (size > headers->length) size = headers->length;
    PyObject *done = PyObject_CallFunction(
        taker, "Oy#i(iIdy#y#)", key, data, size, (int)headers->length, 1, packet->original,
        packet->time, packet->data + 6, (Py_ssize_t)6, packet->data, (Py_ssize_t)6);
    Py_XDECREF(done);
    return done == NULL ? ERROR : TAKEN;
}

static int take_with_key(Run *run, PyObject *key, const Headers *headers, const Packet *packet) {
    int stream = headers->protocol == TCP, taken = OTHER;
    Counters *half = find(stream ? run->tcp : run->udp, key);
    if (half == NULL && PyErr_Occurred()) return ERROR;
    if (half != NULL && packet->time >= half->last)
        taken = (stream ? take_segment : take_datagram)(half, headers, packet);
    if (taken == TAKEN) return TAKEN;
    return look(stream ? run->stream : run->datagram, key, headers, packet);
}

static int take(Run *run, const Packet *packet) {
    Headers headers;
    if (!read_headers(packet, &headers)) return OTHER;
    PyObject *key = PyBytes_FromStringAndSize((const char *)headers.key, headers.key_size);
    if (key == NULL) return ERROR;
    int taken = take_with_key(run, key, &headers, packet);
    Py_DECREF(key);
    if (taken == TAKEN) {
        run->packets += 1;
        run->octets += packet->original;
    }
    return taken;
}

/* --- containers -------------------------------------------------------------------------------- */

PyDoc_STRVAR(pcap_doc,
"pcap(buffer, at, big, header, per_second, tcp, udp, stream, datagram) -> (at, packets, octets)\n\n"
"Take records of Ethernet frames from ``at`` on; stop at the first that is not plain or whole.\n"
"``header`` is the length of a record's header, ``tcp`` and ``udp`` are halves of flows by key,\n"
"``stream`` and ``datagram`` take what must be looked into.");

static PyObject *pcap(PyObject *module, PyObject *arguments) {
    Py_buffer buffer;
    Py_ssize_t at, header;
    double per_second;
    Bytes file;
    Run run = {0};
    if (!PyArg_ParseTuple(arguments, "y*npndO!O!OO", &buffer, &at, &file.big, &header,
                          &per_second, &PyDict_Type, &run.tcp, &PyDict_Type, &run.udp,
                          &run.stream, &run.datagram))
        return NULL;
    file.data = buffer.buf;
    file.size = buffer.len;
    int taken = TAKEN;
    while (at >= 0 && header >= 16 && file.size - at >= header) {
        Packet packet = {
            .captured = word(&file, at + 8),
            .original = word(&file, at + 12),
            .time = word(&file, at) + word(&file, at + 4) / per_second,
            .data = file.data + at + header,
        };
        if (packet.captured > (size_t)(file.size - at - header)) break;
        if ((taken = take(&run, &packet)) != TAKEN) break;
        at += header + (Py_ssize_t)packet.captured;
    }
    PyBuffer_Release(&buffer);
    return taken == ERROR ? NULL : Py_BuildValue("nKK", at, run.packets, run.octets);
}

/* The time by an Ethernet interface's clock; false for any other interface.

   Rounded as Python rounds the quotient of two integers: once. The 60 bits behind the point and the
   lowest, which tells of the remainder, are more than a double holds, unless the quotient is less
   than 1; that is left to Python. */
static int read_time(const Py_buffer *clocks, uint32_t number, uint64_t ticks, double *time) {
    uint64_t per_second;
    double offset;
    if (number >= (size_t)clocks->len / 16) return 0;
    memcpy(&per_second, (const char *)clocks->buf + (size_t)number * 16, 8);
    memcpy(&offset, (const char *)clocks->buf + (size_t)number * 16 + 8, 8);
    if (per_second == 0 || ticks < per_second) return 0;
    unsigned __int128 scaled = (unsigned __int128)ticks << 60;
    unsigned __int128 quotient = scaled / per_second | (scaled % per_second != 0);
    *time = (double)quotient / (double)(1ULL << 60) + offset;
    return 1;
}

PyDoc_STRVAR(pcapng_doc,
"pcapng(buffer, at, big, clocks, last, tcp, udp, stream, datagram)\n"
"    -> (at, packets, octets, last)\n\n"
"The same for enhanced packet blocks. ``clocks`` holds ticks per second (8 bytes; 0: no Ethernet)\n"
"and offset in seconds (a double) of each interface. ``last`` is the time of the last packet.");

static PyObject *pcapng(PyObject *module, PyObject *arguments) {
    Py_buffer buffer, clocks;
    Py_ssize_t at;
    double last;
    Bytes file;
    Run run = {0};
    if (!PyArg_ParseTuple(arguments, "y*npy*dO!O!OO", &buffer, &at, &file.big, &clocks, &last,
                          &PyDict_Type, &run.tcp, &PyDict_Type, &run.udp, &run.stream,
                          &run.datagram))
        return NULL;
    file.data = buffer.buf;
    file.size = buffer.len;
    int taken = TAKEN;
    while (at >= 0 && file.size - at >= 32 && word(&file, at) == ENHANCED) {
        uint32_t length = word(&file, at + 4);
        if (length < 32 || length & 3 || length > (size_t)(file.size - at)) break;
        uint64_t ticks = (uint64_t)word(&file, at + 12) << 32 | word(&file, at + 16);
        Packet packet = {
            .captured = word(&file, at + 20),
            .original = word(&file, at + 24),
            .data = file.data + at + 28,
        };
        if (!read_time(&clocks, word(&file, at + 8), ticks, &packet.time)) break;
        if (packet.captured > length - 32) break;
        if ((taken = take(&run, &packet)) != TAKEN) break;
        last = packet.time;
        at += (Py_ssize_t)length;
    }
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&clocks);
    return taken == ERROR ? NULL : Py_BuildValue("nKKd", at, run.packets, run.octets, last);
}

/* --- the module -------------------------------------------------------------------------------- */

static PyMemberDef counters_members[] = {
    {"packets", T_ULONGLONG, offsetof(Counters, packets), 0, NULL},
    {"octets", T_ULONGLONG, offsetof(Counters, octets), 0, NULL},
    {"payload", T_ULONGLONG, offsetof(Counters, payload), 0, NULL},
    {"next", T_LONGLONG, offsetof(Counters, next), 0, NULL},
    {"want", T_LONGLONG, offsetof(Counters, want), 0, NULL},
    {"last", T_DOUBLE, offsetof(Counters, last), 0, NULL},
    {"ended", T_BOOL, offsetof(Counters, ended), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot counters_slots[] = {{Py_tp_members, counters_members}, {0, NULL}};

static PyType_Spec counters_spec = {
    .name = "echoaudit.outcomes.traffic._quick.Counters",
    .basicsize = sizeof(Counters),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = counters_slots,
};

static PyMethodDef methods[] = {
    {"pcap", pcap, METH_VARARGS, pcap_doc},
    {"pcapng", pcapng, METH_VARARGS, pcapng_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_quick",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__quick(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    counters_type = (PyTypeObject *)PyType_FromSpec(&counters_spec);
    if (counters_type == NULL || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0 ||
        PyModule_AddObjectRef(module, "Counters", (PyObject *)counters_type)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
