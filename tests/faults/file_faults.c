/* A preload library: at the n-th operation on files below a folder, something happens.
 *
 * Operations are opening for writing, writing, synchronizing, renaming, removing and making folders; it happens at the
 * first from the n-th on that can fail in this way. Armed by
 * faults_arm() within the process, or for processes started later by FAULTS_ARM=folder|nth|action|number|token.
 *
 * cc -shared -fPIC -O1 -o file_faults.so file_faults.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, FAIL, FAIL_FROM_NOW_ON, SIGNAL, SHORT, JUMP };
enum { OPEN, WRITE, NAME, REMOVE };

static char root[4096], token[4096];
static int action, number, armed, over;
static long nth, seen;
static volatile long jumped; /* seconds that the clock is ahead */

void faults_arm(const char *folder, long at, int what, int how, const char *once)
{
    strncpy(root, folder, sizeof root - 1);
    strncpy(token, once ? once : "", sizeof token - 1);
    nth = at, action = what, number = how, seen = 0, over = 0, armed = 1;
}

long faults_seen(void) { return seen; }

__attribute__((constructor)) static void arm_from_environment(void)
{
    char text[8192], *parts[5], *rest = text;
    const char *given = getenv("FAULTS_ARM");
    if (!given || strlen(given) >= sizeof text)
        return;
    strcpy(text, given);
    for (int k = 0; k < 5; k++)
        if (!(parts[k] = strsep(&rest, "|")))
            return;
    faults_arm(parts[0], atol(parts[1]), atoi(parts[2]), atoi(parts[3]), parts[4]);
}

static int inside(const char *path)
{
    char absolute[8192];
    if (!path)
        return 0;
    if (path[0] != '/') {
        if (!getcwd(absolute, 4096))
            return 0;
        strncat(absolute, "/", sizeof absolute - strlen(absolute) - 1);
        strncat(absolute, path, sizeof absolute - strlen(absolute) - 1);
        path = absolute;
    }
    return !strncmp(path, root, strlen(root));
}

static int is_inside(int file)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return inside(path);
}

/* Whether an operation can fail in this way: nothing else than what a system may answer. */
static int is_plausible(int operation)
{
    if (action != FAIL && action != FAIL_FROM_NOW_ON && action != SHORT)
        return 1;
    switch (number) {
    case EMFILE:
    case ENFILE:
        return operation == OPEN;
    case EINTR:
        return operation == OPEN || operation == WRITE;
    case EIO:
    case EROFS:
        return 1;
    default: /* no space, quota */
        return operation != REMOVE;
    }
}

/* Whether this operation is to fail; errno is set. */
static int fails(int operation)
{
    long now = __sync_add_and_fetch(&seen, 1);
    if (action == NOTHING || over || now < nth || !is_plausible(operation) || (action == SHORT && operation != WRITE))
        return 0;
    over = action != FAIL_FROM_NOW_ON;
    if (token[0]) { /* of several processes, one */
        int file = syscall(SYS_openat, AT_FDCWD, token, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (file < 0)
            return 0;
        syscall(SYS_close, file);
    }
    if (action == SIGNAL) {
        kill(getpid(), number);
        return 0;
    }
    if (action == JUMP) {
        jumped = number;
        return 0;
    }
    errno = number;
    return 1;
}

#define REAL(kind, name, ...) \
    static kind (*real)(__VA_ARGS__); \
    if (!real) \
        real = (kind(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPENING(name, ...) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    } \
    if (armed && (flags & (O_WRONLY | O_RDWR | O_CREAT)) && inside(path) && fails(OPEN)) \
        return -1; \
    return real(__VA_ARGS__)

int open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, mode_t);
    OPENING("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    REAL(int, "open64", const char *, int, mode_t);
    OPENING("open64", path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, mode_t);
    OPENING("openat", folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    REAL(int, "openat64", int, const char *, int, mode_t);
    OPENING("openat64", folder, path, flags, mode);
}

ssize_t write(int file, const void *data, size_t count)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (armed && is_inside(file) && fails(WRITE))
        return action == SHORT && count > 1 ? real(file, data, count / 2) : -1;
    return real(file, data, count);
}

ssize_t pwrite64(int file, const void *data, size_t count, off64_t at)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return armed && is_inside(file) && fails(WRITE) ? -1 : real(file, data, count, at);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return armed && is_inside(file) && fails(WRITE) ? -1 : real(file, parts, count);
}

int fsync(int file)
{
    REAL(int, "fsync", int);
    return armed && is_inside(file) && fails(WRITE) ? -1 : real(file);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    return armed && inside(to) && fails(NAME) ? -1 : real(from, to);
}

int renameat(int one, const char *from, int other, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    return armed && inside(to) && fails(NAME) ? -1 : real(one, from, other, to);
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    return armed && inside(path) && fails(REMOVE) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    return armed && inside(path) && fails(NAME) ? -1 : real(path, mode);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int status = real(clock, now);
    if (jumped && clock == CLOCK_REALTIME && !status)
        now->tv_sec += jumped;
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    REAL(int, "gettimeofday", struct timeval *restrict, void *restrict);
    int status = real(now, zone);
    if (jumped && !status)
        now->tv_sec += jumped;
    return status;
}

time_t time(time_t *now)
{
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}
