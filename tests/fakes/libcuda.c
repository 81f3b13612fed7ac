/* A stand-in for the CUDA driver, libcuda.so.1, under which the real cuda-bindings and the real PyCUDA run.

   "Device" memory is host memory. Work is queued per stream and done when somebody waits. As in the driver: a context
   is current per thread, on a stack; handles belong to a context; a copy beyond an allocation ends the context and
   every later call says so; memory cannot be allocated while the thread captures; a driver has no newer functions than
   its version. At the end of the process what was not given back is counted in the file FAKE_CUDA_REPORT.

   Environment: FAKE_CUDA_DEVICES (1), FAKE_CUDA_VERSION (12060), FAKE_CUDA_REPORT. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901
};

typedef struct { int device, retained, lost; } Context;
typedef struct Thing { int kind; Context *context; char *memory; size_t size; struct Thing *next; } Thing;
typedef struct { char *to, *from; size_t size; struct Event *event; } Work;
typedef struct Event { Thing thing; double time; struct Stream *stream; } Event;
typedef struct Stream { Thing thing; Work *work; int count, capturing; Event *awaited; } Stream;
typedef struct { Thing thing; Work *work; int count; } Graph;

enum { MEMORY = 1, PINNED, STREAM, EVENT, GRAPH, EXECUTABLE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Context contexts[8];
static Thing *things;
static double now;
static __thread Context *stack[64];
static __thread int depth;
static __thread Stream *captured;

static int number(const char *name, int standard) {
    const char *text = getenv(name);
    return text ? atoi(text) : standard;
}

static int usable(void) {
    if (!depth || !stack[depth - 1]) return INVALID_CONTEXT;
    return stack[depth - 1]->lost ? ILLEGAL_ADDRESS : SUCCESS;
}

static Thing *keep(Thing *thing, int kind, char *memory, size_t size) {
    pthread_mutex_lock(&lock);
    *thing = (Thing){kind, stack[depth - 1], memory, size, things};
    things = thing;
    pthread_mutex_unlock(&lock);
    return thing;
}

static int drop(void *handle, int kind) {
    pthread_mutex_lock(&lock);
    for (Thing **each = &things; *each; each = &(*each)->next) {
        Thing *thing = *each;
        int same = kind == MEMORY || kind == PINNED ? thing->memory == handle : (void *)thing == handle;
        if (same && thing->kind == kind) {
            *each = thing->next;
            pthread_mutex_unlock(&lock);
            free(thing->memory);
            free(thing);
            return SUCCESS;
        }
    }
    pthread_mutex_unlock(&lock);
    return INVALID_VALUE;
}

static int known(void *handle, int kind) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (Thing *each = things; each; each = each->next)
        found |= (void *)each == handle && each->kind == kind && each->context == stack[depth - 1];
    pthread_mutex_unlock(&lock);
    return found ? SUCCESS : INVALID_HANDLE;
}

static int within(char *address, size_t size) {
    int found = 0;
    pthread_mutex_lock(&lock);
    for (Thing *each = things; each; each = each->next)
        found |= each->memory && address >= each->memory && address + size <= each->memory + each->size;
    pthread_mutex_unlock(&lock);
    return found;
}

static void add(Work **list, int *count, Work work) {
    *list = realloc(*list, (*count + 1) * sizeof(Work));
    (*list)[(*count)++] = work;
}

static int finish(Stream *stream) {
    Event *awaited = stream->awaited;
    stream->awaited = NULL;
    if (awaited && awaited->stream && awaited->stream != stream) {
        int status = finish(awaited->stream);
        if (status) return status;
    }
    for (int k = 0; k < stream->count; k++) {
        Work work = stream->work[k];
        now += 1;
        if (work.event) { work.event->time = now; continue; }
        if (!within(work.to, work.size) || !within(work.from, work.size)) {
            stream->thing.context->lost = 1;
            return ILLEGAL_ADDRESS;
        }
        memcpy(work.to, work.from, work.size);
    }
    stream->count = 0;
    return SUCCESS;
}

static int finish_all(void) {
    for (Thing *each = things; each; each = each->next) {
        int status = each->kind == STREAM && each->context == stack[depth - 1] ? finish((Stream *)each) : SUCCESS;
        if (status) return status;
    }
    return SUCCESS;
}

#define NEEDS(condition) do { int status_ = (condition); if (status_) return status_; } while (0)

int cuInit(unsigned flags) { return number("FAKE_CUDA_DEVICES", 1) ? SUCCESS : NO_DEVICE; }
int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA_VERSION", 12060); return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = number("FAKE_CUDA_DEVICES", 1); return SUCCESS; }
int cuDeviceGet(int *device, int index) { *device = index; return SUCCESS; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Orin %d", device); return SUCCESS; }
int cuDeviceComputeCapability(int *major, int *minor, int device) { *major = 8; *minor = 7; return SUCCESS; }
int cuDeviceGetAttribute(int *value, int kind, int device) {
    *value = kind == 75 ? 8 : kind == 76 ? 7 : kind == 18; /* compute capability, and integrated */
    return SUCCESS;
}
int cuDevicePrimaryCtxRetain(Context **context, int device) {
    contexts[device].device = device;
    contexts[device].retained++;
    *context = &contexts[device];
    return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int device) { contexts[device].retained--; return SUCCESS; }

int cuCtxSetCurrent(Context *context) {
    if (!depth) depth = 1;
    stack[depth - 1] = context;
    return SUCCESS;
}
int cuCtxGetCurrent(Context **context) { *context = depth ? stack[depth - 1] : NULL; return SUCCESS; }
int cuCtxPushCurrent_v2(Context *context) {
    if (context->lost) return ILLEGAL_ADDRESS;
    stack[depth++] = context;
    return SUCCESS;
}
int cuCtxPopCurrent_v2(Context **context) {
    if (!depth) return INVALID_CONTEXT;
    *context = stack[--depth];
    return SUCCESS;
}
int cuCtxGetDevice(int *device) { NEEDS(usable()); *device = stack[depth - 1]->device; return SUCCESS; }

int cuMemGetInfo_v2(size_t *left, size_t *all) {
    NEEDS(usable());
    *left = (size_t)4 << 30;
    *all = (size_t)(8 + stack[depth - 1]->device) << 30;
    return SUCCESS;
}
static int allocate(void **address, size_t size, int kind) {
    NEEDS(usable());
    if (captured) { captured->capturing = -1; return CAPTURE_UNSUPPORTED; }
    if (!size) return INVALID_VALUE;
    if (size > (size_t)1 << 34) return OUT_OF_MEMORY;
    *address = keep(malloc(sizeof(Thing)), kind, calloc(1, size), size)->memory;
    return SUCCESS;
}
int cuMemAlloc_v2(void **address, size_t size) { return allocate(address, size, MEMORY); }
int cuMemHostAlloc(void **address, size_t size, unsigned flags) { return allocate(address, size, PINNED); }
int cuMemAllocHost_v2(void **address, size_t size) { return allocate(address, size, PINNED); }
int cuMemFree_v2(void *address) { NEEDS(usable()); NEEDS(finish_all()); return drop(address, MEMORY); }
int cuMemFreeHost(void *address) { NEEDS(usable()); NEEDS(finish_all()); return drop(address, PINNED); }

static int queue(Stream *stream, Work work) {
    NEEDS(usable());
    NEEDS(known(stream, STREAM));
    add(&stream->work, &stream->count, work);
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(char *to, char *from, size_t size, Stream *stream) {
    return queue(stream, (Work){to, from, size, NULL});
}
int cuMemcpyDtoHAsync_v2(char *to, char *from, size_t size, Stream *stream) {
    return queue(stream, (Work){to, from, size, NULL});
}

int cuStreamCreate(Stream **stream, unsigned flags) {
    NEEDS(usable());
    *stream = calloc(1, sizeof(Stream));
    keep(&(*stream)->thing, STREAM, NULL, flags);
    return SUCCESS;
}
int cuStreamDestroy_v2(Stream *stream) { NEEDS(usable()); NEEDS(known(stream, STREAM)); return drop(stream, STREAM); }
int cuStreamSynchronize(Stream *stream) {
    NEEDS(usable());
    NEEDS(known(stream, STREAM));
    return stream->capturing ? CAPTURE_UNSUPPORTED : finish(stream);
}

int cuEventCreate(Event **event, unsigned flags) {
    NEEDS(usable());
    *event = calloc(1, sizeof(Event));
    keep(&(*event)->thing, EVENT, NULL, flags);
    return SUCCESS;
}
int cuEventDestroy_v2(Event *event) {
    NEEDS(usable());
    NEEDS(finish_all());
    NEEDS(known(event, EVENT));
    return drop(event, EVENT);
}
int cuEventRecord(Event *event, Stream *stream) {
    NEEDS(known(event, EVENT));
    event->stream = stream;
    return queue(stream, (Work){NULL, NULL, 0, event});
}
int cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
    NEEDS(usable());
    NEEDS(known(stream, STREAM));
    NEEDS(known(event, EVENT));
    if (stream->capturing) return CAPTURE_UNSUPPORTED;
    stream->awaited = event;
    return SUCCESS;
}
int cuEventSynchronize(Event *event) { NEEDS(usable()); NEEDS(known(event, EVENT)); return finish_all(); }
int cuEventElapsedTime(float *milliseconds, Event *start, Event *end) {
    NEEDS(usable());
    NEEDS(known(start, EVENT));
    NEEDS(known(end, EVENT));
    *milliseconds = end->time - start->time;
    return SUCCESS;
}
int cuEventElapsedTime_v2(float *milliseconds, Event *start, Event *end) {
    return cuEventElapsedTime(milliseconds, start, end);
}

int cuStreamBeginCapture_v2(Stream *stream, int mode) {
    NEEDS(usable());
    NEEDS(known(stream, STREAM));
    stream->capturing = 1;
    captured = stream;
    return finish(stream);
}
int cuStreamEndCapture(Stream *stream, Graph **graph) {
    *graph = NULL;
    NEEDS(usable());
    int invalid = stream->capturing < 0;
    if (captured == stream) captured = NULL;
    stream->capturing = 0;
    if (!invalid) {
        *graph = calloc(1, sizeof(Graph));
        keep(&(*graph)->thing, GRAPH, NULL, 0);
        for (int k = 0; k < stream->count; k++) add(&(*graph)->work, &(*graph)->count, stream->work[k]);
    }
    stream->count = 0;
    return invalid ? CAPTURE_INVALIDATED : SUCCESS;
}
int cuGraphInstantiateWithFlags(Graph **made, Graph *graph, unsigned long long flags) {
    NEEDS(known(graph, GRAPH));
    *made = calloc(1, sizeof(Graph));
    keep(&(*made)->thing, EXECUTABLE, NULL, 0);
    for (int k = 0; k < graph->count; k++) add(&(*made)->work, &(*made)->count, graph->work[k]);
    return SUCCESS;
}
int cuGraphDestroy(Graph *graph) { return drop(graph, GRAPH); }
int cuGraphExecDestroy(Graph *graph) { NEEDS(usable()); return drop(graph, EXECUTABLE); }
int cuGraphLaunch(Graph *graph, Stream *stream) {
    NEEDS(usable());
    NEEDS(known(graph, EXECUTABLE));
    for (int k = 0; k < graph->count; k++) NEEDS(queue(stream, graph->work[k]));
    return SUCCESS;
}

static const struct { int status; const char *name, *text; } texts[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
};
int cuGetErrorName(int status, const char **name) {
    for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++)
        if (texts[k].status == status) { *name = texts[k].name; return SUCCESS; }
    return INVALID_VALUE;
}
int cuGetErrorString(int status, const char **text) {
    for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++)
        if (texts[k].status == status) { *text = texts[k].text; return SUCCESS; }
    return INVALID_VALUE;
}

int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *found);
#define F(symbol, base, since) {base, since, (void *)symbol}
static const struct { const char *name; int since; void *function; } functions[] = {
    F(cuInit, "cuInit", 2000), F(cuDriverGetVersion, "cuDriverGetVersion", 2020),
    F(cuDeviceGetCount, "cuDeviceGetCount", 2000), F(cuDeviceGet, "cuDeviceGet", 2000),
    F(cuDeviceGetName, "cuDeviceGetName", 2000), F(cuDeviceGetAttribute, "cuDeviceGetAttribute", 2000),
    F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", 7000),
    F(cuDevicePrimaryCtxRelease_v2, "cuDevicePrimaryCtxRelease", 11000),
    F(cuCtxSetCurrent, "cuCtxSetCurrent", 4000), F(cuCtxGetCurrent, "cuCtxGetCurrent", 4000),
    F(cuMemGetInfo_v2, "cuMemGetInfo", 3020), F(cuMemAlloc_v2, "cuMemAlloc", 3020),
    F(cuMemFree_v2, "cuMemFree", 3020), F(cuMemHostAlloc, "cuMemHostAlloc", 2020),
    F(cuMemFreeHost, "cuMemFreeHost", 2000), F(cuMemcpyHtoDAsync_v2, "cuMemcpyHtoDAsync", 3020),
    F(cuMemcpyDtoHAsync_v2, "cuMemcpyDtoHAsync", 3020), F(cuStreamCreate, "cuStreamCreate", 2000),
    F(cuStreamDestroy_v2, "cuStreamDestroy", 4000), F(cuStreamSynchronize, "cuStreamSynchronize", 2000),
    F(cuEventCreate, "cuEventCreate", 2000), F(cuEventDestroy_v2, "cuEventDestroy", 4000),
    F(cuStreamWaitEvent, "cuStreamWaitEvent", 3020), F(cuEventRecord, "cuEventRecord", 2000), F(cuEventSynchronize, "cuEventSynchronize", 2000),
    F(cuEventElapsedTime, "cuEventElapsedTime", 2000), F(cuEventElapsedTime_v2, "cuEventElapsedTime", 12080),
    F(cuGetErrorName, "cuGetErrorName", 6000), F(cuGetErrorString, "cuGetErrorString", 6000),
    F(cuGetProcAddress_v2, "cuGetProcAddress", 12000),
};
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *found) {
    int newest = number("FAKE_CUDA_VERSION", 12060), best = -1;
    *function = NULL;
    if (version <= newest)
        for (size_t k = 0; k < sizeof(functions) / sizeof(*functions); k++)
            if (!strcmp(functions[k].name, name) && functions[k].since <= version && functions[k].since > best) {
                best = functions[k].since;
                *function = functions[k].function;
            }
    if (found) *found = *function ? 0 : 1;
    return *function ? SUCCESS : NOT_FOUND;
}

__attribute__((destructor)) static void report(void) {
    const char *place = getenv("FAKE_CUDA_REPORT");
    FILE *file = place ? fopen(place, "w") : NULL;
    if (!file) return;
    int count = 0;
    for (Thing *each = things; each; each = each->next) count++;
    fprintf(file, "%d things left\n", count);
    fclose(file);
}
