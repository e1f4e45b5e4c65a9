/* A hostile machine under one process, by LD_PRELOAD: clocks that jump, disks that fail, a network that is not there.

   What happens is written by the test into a file that both have mapped (hostile.py has the same order of numbers), and
   what was seen is read from there, also when the process was killed meanwhile. Nothing of this is in the daemon. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, TRUNCATE = 8, ALLOCATE = 16, UNLINK = 32, RENAME = 64 };
enum { TOKEN = 35, SLOT = 64, JOURNAL = 4096, SIZE = 1 << 20, PATHS = 256, DIE = -1 };

struct control {
  _Atomic int64_t wall, steady, awake;  /* nanoseconds that are added to the clocks */
  _Atomic int64_t ops, after, times;    /* which calls below `folder`, how many of them go well first, how many then do not */
  _Atomic int64_t error;                /* errno; DIE: SIGKILL at that very call */
  _Atomic int64_t torn;                 /* half of a write is done first */
  _Atomic int64_t unreachable;          /* errno of connect(2) to anything but a Unix socket */
  _Atomic int64_t lookup;               /* 1: names hang while it is; 2: names do not resolve */
  _Atomic int64_t seen, hit, looking;   /* calls that fitted, calls that failed, lookups that hang */
  _Atomic int64_t tokens;               /* entries of the journal */
  _Atomic int64_t lookups;              /* of the name in the server's address, so far */
  _Atomic int64_t died;                 /* when it ended itself by SIGKILL, CLOCK_MONOTONIC in nanoseconds */
  char folder[PATHS], spared[PATHS];
};

static struct control *at;
static const char *const KEPT[] = {"store.db", "store.db-wal", "spill"}; /* what must be synced to be there */
enum { FILES = sizeof KEPT / sizeof *KEPT };
static int undo[FILES] = {-1, -1, -1};
static void real(const char *name, void **found) { *found = dlsym(RTLD_NEXT, name); }
#define REAL(type, name, ...) static type (*next)(__VA_ARGS__); if (!next) real(name, (void **)&next)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("AIXTIV_HOSTILE_MACHINE");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (map != MAP_FAILED) at = map;
  for (int which = 0; which < FILES; which++) {
    char name[PATHS];
    snprintf(name, sizeof name, "%s.undo%d", path, which);
    undo[which] = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
}

static int64_t now(void) {
  struct timespec t;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- its own end */

int kill(pid_t pid, int number) {
  REAL(int, "kill", pid_t, int);
  if (at && pid == getpid() && number == SIGKILL) at->died = now();
  return next(pid, number);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* ---- the clocks */

int clock_gettime(clockid_t id, struct timespec *out) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int done = next(id, out);
  if (done || !at) return done;
  int64_t shift = id == CLOCK_REALTIME ? at->wall : id == CLOCK_BOOTTIME ? at->steady : id == CLOCK_MONOTONIC ? at->awake : 0;
  if (!shift) return 0;
  int64_t all = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + shift;
  out->tv_sec = all / 1000000000;
  out->tv_nsec = all % 1000000000;
  return 0;
}

/* ---- the disk */

static int below(const char *path) {
  return path && at->folder[0] && strncmp(path, at->folder, strlen(at->folder)) == 0 && strcmp(path, at->spared) != 0;
}

static int named(int fd, char path[512]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  long length = syscall(SYS_readlink, link, path, 511);
  path[length < 0 ? 0 : length] = 0;
  return length >= 0;
}

static int below_fd(int fd) {
  char path[512];
  return named(fd, path) && below(path);
}

/* What a power cut takes: whatever was not synced. What it would bring back is noted before each change of the store's
   files, and forgotten when they are synced; hostile.py puts it back when the process is dead. */

static int kept_at(const char *path) {
  const char *name = strrchr(path, '/');
  for (int which = 0; at && name && which < FILES; which++)
    if (strcmp(name + 1, KEPT[which]) == 0 && undo[which] >= 0) return which;
  return -1;
}

static int kept_fd(int fd) {
  char path[512];
  return at && named(fd, path) ? kept_at(path) : -1;
}

static void forget(int which) {
  if (which >= 0) syscall(SYS_ftruncate, undo[which], 0);
}

static void note(int fd, off_t from, off_t to) {
  int kept = errno, which = kept_fd(fd);
  struct stat now;
  if (which >= 0 && fstat(fd, &now) == 0) {
    if (to > now.st_size) to = now.st_size;
    if (from > to) from = to;
    int64_t length = to - from;
    int64_t *entry = malloc(24 + length);
    if (entry) {
      entry[0] = from, entry[1] = now.st_size, entry[2] = length;
      if (pread(fd, entry + 3, length, from) == length) syscall(SYS_write, undo[which], entry, 24 + length);
      free(entry);
    }
  }
  errno = kept;
}

/* 0: it goes well; else the errno with which it does not. */
static int fate(int op) {
  at->seen++;
  if (atomic_fetch_sub(&at->after, 1) > 0) return 0;
  int64_t left = at->times;
  if (left == 0) return 0;
  if (left > 0) at->times--;
  at->hit++;
  if (at->error == DIE) {
    if (op == WRITE && at->torn) return DIE;
    die();
  }
  return (int)at->error;
}

static int fails(int op, int fd) {
  if (!at || !(at->ops & op)) return 0;
  int kept = errno, error = below_fd(fd) ? fate(op) : 0;
  errno = kept;
  return error;
}

static int fails_at(int op, const char *path) {
  if (!at || !(at->ops & op)) return 0;
  return below(path) ? fate(op) : 0;
}

#define REFUSE(error) do { if (error) { errno = (error); return -1; } } while (0)

static void look_at_a_request(const char *data, size_t size);

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  look_at_a_request(data, size);
  int error = fails(WRITE, fd);
  if (error && at->torn && size > 1) next(fd, data, size / 2);
  if (error == DIE) die();
  REFUSE(error);
  return next(fd, data, size);
}

#define PWRITE(name)                                                  \
  ssize_t name(int fd, const void *data, size_t size, off_t where) {  \
    REAL(ssize_t, #name, int, const void *, size_t, off_t);           \
    note(fd, where, where + (off_t)size);                             \
    int error = fails(WRITE, fd);                                     \
    if (error && at->torn && size > 1) next(fd, data, size / 2, where); \
    if (error == DIE) die();                                          \
    REFUSE(error);                                                    \
    return next(fd, data, size, where);                               \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define SYNCS(name)                         \
  int name(int fd) {                        \
    REAL(int, #name, int);                  \
    REFUSE(fails(SYNC, fd));                \
    int done = next(fd);                    \
    if (done == 0) forget(kept_fd(fd));     \
    return done;                            \
  }
SYNCS(fsync)
SYNCS(fdatasync)

#define TRUNCATES(name)                      \
  int name(int fd, off_t size) {             \
    REAL(int, #name, int, off_t);            \
    REFUSE(fails(TRUNCATE, fd));             \
    note(fd, size, INT64_MAX);               \
    return next(fd, size);                   \
  }
TRUNCATES(ftruncate)
TRUNCATES(ftruncate64)

#define ALLOCATES(name)                                   \
  int name(int fd, off_t start, off_t size) {             \
    REAL(int, #name, int, off_t, off_t);                  \
    int error = fails(ALLOCATE, fd); /* its own result is the errno */ \
    return error ? error : next(fd, start, size);         \
  }
ALLOCATES(posix_fallocate)
ALLOCATES(posix_fallocate64)

#define OPENS(name)                                                        \
  int name(const char *path, int flags, ...) {                             \
    REAL(int, #name, const char *, int, ...);                              \
    va_list rest;                                                          \
    va_start(rest, flags);                                                 \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                          \
    if (flags & (O_WRONLY | O_RDWR | O_CREAT)) REFUSE(fails_at(OPEN, path)); \
    return next(path, flags, mode);                                        \
  }
OPENS(open)
OPENS(open64)

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  REFUSE(fails_at(UNLINK, path));
  forget(kept_at(path));
  return next(path);
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  REFUSE(fails_at(RENAME, to));
  forget(kept_at(to));
  return next(from, to);
}

/* ---- the network */

int connect(int fd, const struct sockaddr *peer, socklen_t length) {
  REAL(int, "connect", int, const struct sockaddr *, socklen_t);
  if (at && at->unreachable && peer && (peer->sa_family == AF_INET || peer->sa_family == AF_INET6)) REFUSE((int)at->unreachable);
  return next(fd, peer, length);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  REAL(int, "getaddrinfo", const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (at && node && strcmp(node, "localhost") == 0) { /* the name that stands in the server's address */
    at->lookups++;
    at->looking++;
    while (at->lookup == 1) usleep(2000);
    at->looking--;
    if (at->lookup == 2) return EAI_AGAIN;
  }
  return next(node, service, hints, found);
}

/* ---- which refresh tokens reached this process in full, which it presented, and when */

static int of_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static void note_token(const char *token, char presented) {
  int64_t slot = atomic_fetch_add(&at->tokens, 1);
  char *entry = (char *)at + JOURNAL + slot * SLOT;
  if (JOURNAL + (slot + 1) * SLOT > SIZE) return;
  entry[TOKEN] = presented;
  *(int64_t *)(entry + TOKEN + 5) = now();
  *(int64_t *)(entry + TOKEN + 13) = getpid();
  memcpy(entry, token, TOKEN);
}

static void look(const char *data, ssize_t size) {
  const char *end = data + size, *p = data;
  while (at && end - p > TOKEN && (p = memmem(p, end - p, "\"rt-", 4))) {
    const char *token = p + 1;
    int length = 0;
    while (token + length < end && of_token(token[length])) length++;
    p += 4;
    if (length == TOKEN && token + length < end && token[length] == '"') note_token(token, 0);
  }
}

static void look_at_a_request(const char *data, size_t size) {
  static const char before[] = "refresh_token=";
  const char *found = at && size > TOKEN ? memmem(data, size, before, sizeof before - 1) : NULL;
  while (found && strncmp(found += sizeof before - 1, "rt-", 3) != 0) found = memmem(found, data + size - found, before, sizeof before - 1);
  if (found && data + size - found >= TOKEN) note_token(found, 1);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  REAL(ssize_t, "send", int, const void *, size_t, int);
  look_at_a_request(data, size);
  return next(fd, data, size, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  for (int i = 0; i < count; i++) look_at_a_request(parts[i].iov_base, parts[i].iov_len);
  return next(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
  for (size_t i = 0; i < message->msg_iovlen; i++)
    look_at_a_request(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
  return next(fd, message, flags);
}

ssize_t read(int fd, void *data, size_t size) {
  REAL(ssize_t, "read", int, void *, size_t);
  ssize_t got = next(fd, data, size);
  if (got > TOKEN) look(data, got);
  return got;
}

ssize_t recv(int fd, void *data, size_t size, int flags) {
  REAL(ssize_t, "recv", int, void *, size_t, int);
  ssize_t got = next(fd, data, size, flags);
  if (got > TOKEN) look(data, got);
  return got;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  REAL(ssize_t, "recvmsg", int, struct msghdr *, int);
  ssize_t got = next(fd, message, flags);
  if (got > TOKEN && message->msg_iovlen == 1) look(message->msg_iov[0].iov_base, got);
  return got;
}

/* What lies unread in a socket that is closed has reached this machine, too: the process could have read it. */

static void look_into(int fd) {
  char data[65536];
  struct sockaddr_storage self;
  socklen_t length = sizeof self;
  if (!at || getsockname(fd, (struct sockaddr *)&self, &length)) return;
  if (self.ss_family != AF_INET && self.ss_family != AF_INET6) return;
  REAL(ssize_t, "recv", int, void *, size_t, int);
  ssize_t got = next(fd, data, sizeof data, MSG_PEEK | MSG_DONTWAIT);
  if (got > TOKEN) look(data, got);
}

int close(int fd) {
  REAL(int, "close", int);
  look_into(fd);
  return next(fd);
}

long syscall(long number, ...) { /* libuv closes by this */
  REAL(long, "syscall", long, ...);
  long a[6];
  va_list rest;
  va_start(rest, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_close) look_into((int)a[0]);
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
