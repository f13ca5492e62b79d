/* The quick way in C: what ``scan.Scanner`` does for most packets, on whole buffers.

   Takes packets with plain headers: counts them, follows TCP's sequence numbers, and hands payload
   that may carry a name to Python (``inspect.Names``), which also makes the flows. At a packet that
   is not plain (odd headers, a reset, a gap, a step back in time) it stops and leaves that to
   Python, untouched. It keeps no state between calls and reads no byte before it checked that it is
   there. ``docs/reliability.md`` says how both ways are held against each other. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, TCP = 6, UDP = 17, ENHANCED = 6 };
enum { QUIET = 300 }; /* seconds, as in flows.py */
enum { INTERFACE = 5 }; /* as in quick.py: of the functions here; another number is not used */
enum { LONG_HEADER = 0xC0 }; /* QUIC's first byte, as in scan.py */
enum { ERROR = -1, OTHER = 0, TAKEN = 1 };

/* What both ways count of one direction of a flow; ``flows.Half`` inherits from it. */
typedef struct {
    PyObject_HEAD
    unsigned long long packets, octets, payload;
    long long next, expected, isn, want;
    double first, last;
    unsigned char syn;
    char ended, gapped;
} Counters;

static const long long WORD = 0xFFFFFFFF;
static PyTypeObject *counters_type;

typedef struct {
    const uint8_t *data;
    Py_ssize_t size;
    int big;
} Bytes;

/* A direction that was met during a call: most packets find theirs here, without a key object. */
typedef struct {
    Counters *half;
    int protocol;
    Py_ssize_t size;
    uint8_t key[36];
} Met;

typedef struct {
    Met met[256];
    PyObject *tcp, *udp; /* halves of flows by key */
    PyObject *open; /* makes a flow */
    PyObject *segment, *datagram; /* what looks into payload */
    PyObject *hellos, *greet; /* hellos that were read, by essence, and what takes one of them */
    unsigned long long packets, octets;
    int opened; /* whether the packet's flow is new */
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

/* --- TLS --------------------------------------------------------------------------------------- */

enum { LONGEST_HELLO = 4096, CLIENT_HELLO = 1, SERVER_HELLO = 2 };

/* Server name, signatures, ALPN, versions: extensions whose body tells something, as in tls.py. */
static int tells(uint32_t code) {
    return code == 0 || code == 13 || code == 16 || code == 43;
}

/* Copy what tells of a hello; how much that is, 0 when it is cut. It is never more than the hello. */
static Py_ssize_t gather(const uint8_t *hello, Py_ssize_t size, uint8_t *out) {
    Py_ssize_t put = 3, at = 39 + (Py_ssize_t)(size > 38 ? hello[38] : size), part;
    if (size - at < 3) return 0;
    out[0] = hello[0];
    memcpy(out + 1, hello + 4, 2);
    if (hello[0] == CLIENT_HELLO) {
        part = 2 + (Py_ssize_t)big16(hello + at);
        if (size - at <= part) return 0;
        memcpy(out + put, hello + at, (size_t)part);
        put += part;
        at += part + 1 + hello[at + part];
    } else {
        at += 3;
    }
    if (at == size) return put;
    if (size - at < 2) return 0;
    Py_ssize_t end = at + 2 + (Py_ssize_t)big16(hello + at);
    if (end > size) return 0;
    for (at += 2; at < end; at += part) {
        if (end - at < 4) return 0;
        part = 4 + (Py_ssize_t)big16(hello + at + 2);
        if (part > end - at) return 0;
        size_t told = tells(big16(hello + at)) ? (size_t)part : 2;
        memcpy(out + put, hello + at, told);
        put += (Py_ssize_t)told;
    }
    return put;
}

/* The hello in one record at the beginning of a stream, and its size; else 0, as in tls.py. */
static Py_ssize_t in_record(const uint8_t *stream, Py_ssize_t size) {
    if (size < 9 || stream[0] != 22 || stream[1] != 3) return 0;
    Py_ssize_t record = (Py_ssize_t)big16(stream + 3);
    Py_ssize_t whole = 4 + ((Py_ssize_t)stream[6] << 16 | (Py_ssize_t)big16(stream + 7));
    if (stream[5] != CLIENT_HELLO && stream[5] != SERVER_HELLO) return 0;
    return whole <= record && record <= 16384 + 256 && whole <= size - 5 ? whole : 0;
}

/* What tells of a hello, with a byte that says how it came; empty when it is not plain. */
static PyObject *gathered(const uint8_t *stream, Py_ssize_t size, int quic) {
    uint8_t out[LONGEST_HELLO + 1];
    if (!quic) size = in_record(stream, size);
    Py_ssize_t put = size > LONGEST_HELLO ? 0 : gather(stream + (quic ? 0 : 5), size, out + 1);
    out[0] = (uint8_t)quic;
    return PyBytes_FromStringAndSize((const char *)out, put ? put + 1 : 0);
}

/* --- one packet -------------------------------------------------------------------------------- */

typedef struct {
    int protocol;
    int32_t length; /* bytes behind the IP header */
    const uint8_t *key; /* addresses and ports */
    Py_ssize_t key_size;
    const uint8_t *ports; /* where the segment or datagram begins */
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
        *found = (Headers){p[23], (int32_t)big16(p + 16) - 20, p + 26, 12, p + 34};
    } else if (packet->captured >= 74 && is_plain_ipv6(p)) {
        *found = (Headers){p[20], (int32_t)big16(p + 18), p + 22, 36, p + 54};
    } else {
        return 0;
    }
    return (found->protocol == TCP && found->length >= 20) ||
           (found->protocol == UDP && found->length >= 8);
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
    if (half->packets == 0) half->first = packet->time;
    half->packets += 1;
    half->octets += packet->original;
    half->last = packet->time;
}

/* How much was captured of ``carried`` bytes of payload, which begin at ``data``. */
static Py_ssize_t there(const Packet *packet, const uint8_t *data, int32_t carried) {
    Py_ssize_t size = packet->captured - (data - packet->data);
    return size < carried ? size : carried;
}

/* A hello like one that was read before needs no look, unless Python says so. */
static int take_hello(Run *run, Counters *half, const uint8_t *data, Py_ssize_t size) {
    PyObject *essence = gathered(data, size, 0);
    if (essence == NULL) return ERROR;
    PyObject *known = PyDict_GetItemWithError(run->hellos, essence);
    Py_DECREF(essence);
    if (known == NULL) return PyErr_Occurred() ? ERROR : OTHER;
    PyObject *done = PyObject_CallFunctionObjArgs(run->greet, half, known, NULL);
    int taken = done == NULL ? ERROR : PyObject_IsTrue(done);
    Py_XDECREF(done);
    return taken;
}

/* Hand payload to Python. */
static int look(PyObject *taker, Counters *half, const Packet *packet, const uint8_t *data,
                int32_t carried, long long about) {
    PyObject *done = PyObject_CallFunction(taker, "Oy#dL", half, data,
                                           there(packet, data, carried), packet->time, about);
    Py_XDECREF(done);
    return done == NULL ? ERROR : TAKEN;
}

/* The first packet of a flow, or the first answer. */
static int take_syn(Run *run, Counters *half, const Packet *packet, uint32_t flags,
                    uint32_t sequence) {
    if (half->packets || !(run->opened || flags & ACK)) return OTHER;
    count(half, packet);
    half->syn = flags & (SYN | ACK);
    half->isn = sequence;
    half->expected = (sequence + 1) & WORD;
    half->next = half->want ? -1 : half->expected;
    return TAKEN;
}

/* Payload that is new and next, or all seen before; ``flows.Half.fresh`` knows the other cases. */
static int take_data(Run *run, Counters *half, const Packet *packet, const uint8_t *data,
                     int32_t carried, uint32_t sequence) {
    if (half->next > half->expected && half->expected >= 0) { /* flows.Half.settle */
        half->payload += (unsigned long long)(half->next - half->expected);
        half->expected = half->next = half->next & WORD;
    }
    int32_t ahead = half->expected < 0 ? 0 : (int32_t)(sequence - (uint32_t)half->expected);
    if (ahead > 0 || (ahead < 0 && (half->gapped || ahead + carried > 0))) return OTHER;
    count(half, packet);
    if (ahead == 0) {
        half->payload += (unsigned)carried;
        half->expected = (sequence + (uint32_t)carried) & WORD;
    }
    int taken = half->want ? OTHER : TAKEN;
    if (taken == OTHER && half->isn + 1 == sequence)
        taken = take_hello(run, half, data, there(packet, data, carried));
    if (taken == OTHER) taken = look(run->segment, half, packet, data, carried, sequence);
    half->next = half->want ? -1 : half->expected;
    return taken;
}

static int take_segment(Run *run, Counters *half, const Headers *headers, const Packet *packet) {
    const uint8_t *tcp = headers->ports;
    uint32_t sequence = big32(tcp + 4), flags = big16(tcp + 12);
    int32_t header = (int32_t)(flags >> 12 << 2), carried = headers->length - header, taken = TAKEN;
    if (flags & RST || header < 20 || carried < 0 || (flags & SYN && carried)) return OTHER;
    if (flags & SYN) {
        taken = take_syn(run, half, packet, flags, sequence);
    } else if (carried == 0 || sequence == half->next) {
        count(half, packet);
        if (carried) half->next = (long long)sequence + carried;
    } else if (packet->captured >= tcp - packet->data + header) {
        taken = take_data(run, half, packet, tcp + header, carried, sequence);
    } else {
        return OTHER;
    }
    if (flags & FIN && taken != OTHER) half->ended = 1;
    return taken;
}

static int take_datagram(Run *run, Counters *half, const Headers *headers, const Packet *packet) {
    int32_t carried = headers->length - 8;
    if (packet->time - (half->packets ? half->last : half->first) > QUIET) return OTHER;
    if (half->want < 0 && carried > 0 && headers->ports[8] >= LONG_HEADER) return OTHER;
    count(half, packet);
    half->payload += (unsigned)carried;
    if (half->want <= 0) return TAKEN;
    return look(run->datagram, half, packet, headers->ports + 8, carried, carried);
}

static Counters *open_flow(Run *run, PyObject *key, const Headers *headers, const Packet *packet) {
    PyObject *half = PyObject_CallFunction(
        run->open, "iOdy#y#", headers->protocol, key, packet->time, packet->data + 6,
        (Py_ssize_t)6, packet->data, (Py_ssize_t)6);
    if (half == NULL || PyObject_TypeCheck(half, counters_type)) return (Counters *)half;
    Py_DECREF(half);
    PyErr_SetString(PyExc_TypeError, "a flow must be made of Counters");
    return NULL;
}

/* The direction of a packet, of a flow that is new if need be; NULL with an error set. */
static Counters *find_or_open(Run *run, const Headers *headers, const Packet *packet) {
    PyObject *key = PyBytes_FromStringAndSize((const char *)headers->key, headers->key_size);
    if (key == NULL) return NULL;
    Counters *half = find(headers->protocol == TCP ? run->tcp : run->udp, key);
    run->opened = half == NULL;
    if (half != NULL) Py_INCREF((PyObject *)half);
    else if (!PyErr_Occurred()) half = open_flow(run, key, headers, packet);
    Py_DECREF(key);
    return half;
}

/* The same, borrowed, from those met before if it is there. A flow whose ports begin another ends
   the call, so none of them is out of date. */
static Counters *meet(Run *run, const Headers *headers, const Packet *packet) {
    const uint8_t *ports = headers->key + headers->key_size - 4;
    uint32_t mixed = (big32(ports) ^ big32(ports - 4) * 31) * 2654435761u;
    Met *met = &run->met[mixed >> 24];
    run->opened = 0;
    if (met->half != NULL && met->protocol == headers->protocol &&
        met->size == headers->key_size && !memcmp(met->key, headers->key, (size_t)met->size))
        return met->half;
    Counters *half = find_or_open(run, headers, packet);
    if (half == NULL) return NULL;
    Py_XDECREF((PyObject *)met->half);
    *met = (Met){half, headers->protocol, headers->key_size, {0}};
    memcpy(met->key, headers->key, (size_t)met->size);
    return half;
}

static void forget(Run *run) {
    for (int i = 0; i < 256; i++) Py_XDECREF((PyObject *)run->met[i].half);
}

static int take(Run *run, const Packet *packet) {
    Headers headers;
    if (!read_headers(packet, &headers)) return OTHER;
    Counters *half = meet(run, &headers, packet);
    if (half == NULL) return ERROR;
    if (packet->time < (half->packets ? half->last : half->first)) return OTHER;
    int taken = (headers.protocol == TCP ? take_segment : take_datagram)(run, half, &headers, packet);
    if (taken == TAKEN) {
        run->packets += 1;
        run->octets += packet->original;
    }
    return taken;
}

/* --- containers -------------------------------------------------------------------------------- */

PyDoc_STRVAR(pcap_doc,
"pcap(buffer, at, big, header, per_second, tcp, udp, open, segment, datagram, hellos, greet)\n"
"    -> (at, packets, octets)\n\n"
"Take records of Ethernet frames from ``at`` on; stop at the first that is not plain or whole.\n"
"``header`` is the length of a record's header, ``tcp`` and ``udp`` are halves of flows by key.\n"
"``open(protocol, key, time, source, target)`` makes a flow and returns the half of the key;\n"
"``segment(half, data, time, sequence)`` and ``datagram(half, data, time, length)`` look into\n"
"payload. ``hellos`` are those known by ``essence``; ``greet(half, hello)`` takes one of them, or\n"
"says that the segment must be looked into.");

static PyObject *pcap(PyObject *module, PyObject *arguments) {
    Py_buffer buffer;
    Py_ssize_t at, header;
    double per_second;
    Bytes file;
    Run run = {0};
    if (!PyArg_ParseTuple(arguments, "y*npndO!O!OOOO!O", &buffer, &at, &file.big, &header,
                          &per_second, &PyDict_Type, &run.tcp, &PyDict_Type, &run.udp,
                          &run.open, &run.segment, &run.datagram, &PyDict_Type, &run.hellos,
                          &run.greet))
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
    forget(&run);
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
"pcapng(buffer, at, big, clocks, last, tcp, udp, open, segment, datagram, hellos, greet)\n"
"    -> (at, packets, octets, last)\n\n"
"The same for enhanced packet blocks. ``clocks`` holds ticks per second (8 bytes; 0: no Ethernet)\n"
"and offset in seconds (a double) of each interface. ``last`` is the time of the last packet.");

static PyObject *pcapng(PyObject *module, PyObject *arguments) {
    Py_buffer buffer, clocks;
    Py_ssize_t at;
    double last;
    Bytes file;
    Run run = {0};
    if (!PyArg_ParseTuple(arguments, "y*npy*dO!O!OOOO!O", &buffer, &at, &file.big, &clocks, &last,
                          &PyDict_Type, &run.tcp, &PyDict_Type, &run.udp, &run.open,
                          &run.segment, &run.datagram, &PyDict_Type, &run.hellos,
                          &run.greet))
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
    forget(&run);
    PyBuffer_Release(&buffer);
    PyBuffer_Release(&clocks);
    return taken == ERROR ? NULL : Py_BuildValue("nKKd", at, run.packets, run.octets, last);
}

PyDoc_STRVAR(essence_doc,
"essence(stream, quic) -> bytes\n\n"
"All of a hello that ``tls.parse_hello`` reads, so that hellos of the same essence tell the same.\n"
"The hello is in one record at the beginning of the stream, or with ``quic`` it is the stream.\n"
"Empty when it is not so, or long, or malformed.");

static PyObject *essence(PyObject *module, PyObject *arguments) {
    const char *stream;
    Py_ssize_t size;
    int quic;
    if (!PyArg_ParseTuple(arguments, "y#p", &stream, &size, &quic)) return NULL;
    return gathered((const uint8_t *)stream, size, quic);
}

/* --- the module -------------------------------------------------------------------------------- */

static PyMemberDef counters_members[] = {
    {"packets", T_ULONGLONG, offsetof(Counters, packets), 0, NULL},
    {"octets", T_ULONGLONG, offsetof(Counters, octets), 0, NULL},
    {"payload", T_ULONGLONG, offsetof(Counters, payload), 0, NULL},
    {"next", T_LONGLONG, offsetof(Counters, next), 0, NULL},
    {"expected", T_LONGLONG, offsetof(Counters, expected), 0, NULL},
    {"isn", T_LONGLONG, offsetof(Counters, isn), 0, NULL},
    {"want", T_LONGLONG, offsetof(Counters, want), 0, NULL},
    {"first", T_DOUBLE, offsetof(Counters, first), 0, NULL},
    {"last", T_DOUBLE, offsetof(Counters, last), 0, NULL},
    {"syn", T_UBYTE, offsetof(Counters, syn), 0, NULL},
    {"ended", T_BOOL, offsetof(Counters, ended), 0, NULL},
    {"gapped", T_BOOL, offsetof(Counters, gapped), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *counters_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    Counters *half = (Counters *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (half == NULL) return NULL;
    half->first = half->last = Py_HUGE_VAL;
    half->next = half->expected = half->isn = -1;
    return (PyObject *)half;
}

static PyType_Slot counters_slots[] = {
    {Py_tp_new, counters_new},
    {Py_tp_members, counters_members},
    {0, NULL},
};

static PyType_Spec counters_spec = {
    .name = "echoaudit.outcomes.traffic._quick.Counters",
    .basicsize = sizeof(Counters),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = counters_slots,
};

static PyMethodDef methods[] = {
    {"pcap", pcap, METH_VARARGS, pcap_doc},
    {"pcapng", pcapng, METH_VARARGS, pcapng_doc},
    {"essence", essence, METH_VARARGS, essence_doc},
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
