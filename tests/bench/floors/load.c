/* The load: CONNECTIONS callers that each send the same request, wait for the whole answer, and send it again.
 *
 * load TARGET CONNECTIONS MILLISECONDS COUNT SHAPE FILE: TARGET is a Unix socket's path, or a port of 127.0.0.1;
 * COUNT ends it sooner (0: it does not), and nothing ends it before the first answer; FILE holds the request. SHAPE says
 * where an answer ends: `frame` (four bytes of length in front), `http` (by its content-length, or behind its last
 * chunk). `once` is `frame` with a connection for each, `close` an answer that ends with its connection.
 * `events` is `http` whose body carries the sender's clock: "at=NANOSECONDS;"; then what is measured is their age.
 * Prints a line of JSON: answers, bytes, seconds, and percentiles in microseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HELD 262144
#define MOST 8000000

enum shape { FRAME, HTTP, CLOSE, EVENTS, ONCE };

struct caller {
  int fd;
  long began;
  size_t size;   /* of what is held */
  size_t body;   /* where it begins; 0: the head is not whole */
  size_t seen;   /* of it, as far as events were looked for */
  long length;   /* of the body; -1: in chunks */
  char *held;
};

static char request[65536];
static size_t request_size;
static enum shape shape;
static const char *target;
static unsigned *measured;
static long answers, bytes, measures;
static int polled;

static long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000L + at.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void note(long nanoseconds) {
  if (measures < MOST) measured[measures++] = nanoseconds < 4000000000L ? (unsigned)nanoseconds : 4000000000U;
}

static void ask(struct caller *caller) {
  caller->size = caller->body = caller->seen = 0;
  caller->began = now();
  if (write(caller->fd, request, request_size) != (ssize_t)request_size) fail("write");
}

static void join(struct caller *caller) {
  struct sockaddr_un path = {.sun_family = AF_UNIX};
  struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int local = target[0] == '/', one = 1;
  caller->began = now();
  caller->fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
  strncpy(path.sun_path, target, sizeof path.sun_path - 1);
  port.sin_port = htons((unsigned short)atoi(target));
  if (connect(caller->fd, local ? (struct sockaddr *)&path : (struct sockaddr *)&port, local ? sizeof path : sizeof port))
    fail(target);
  if (!local) setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = caller};
  epoll_ctl(polled, EPOLL_CTL_ADD, caller->fd, &event);
}

static void read_head(struct caller *caller) {
  char *end = memmem(caller->held, caller->size, "\r\n\r\n", 4), *found;
  if (!end) return;
  *end = 0;
  if (strncmp(caller->held, "HTTP/1.1 200", 12)) {
    fprintf(stderr, "%s\n%.600s\n", caller->held, end + 4);
    exit(1);
  }
  caller->body = caller->seen = end + 4 - caller->held;
  found = strcasestr(caller->held, "\r\ncontent-length:");
  caller->length = found ? atol(found + 17) : -1;
}

static void look_for_events(struct caller *caller) {
  for (;;) {
    char *from = caller->held + caller->seen, *found = memmem(from, caller->size - caller->seen, "at=", 3), *end;
    if (!found || !(end = memchr(found, ';', caller->held + caller->size - found))) return;
    note(now() - atol(found + 3));
    caller->seen = end - caller->held;
  }
}

static int whole(struct caller *caller) {
  if (shape == FRAME || shape == ONCE)
    return caller->size >= 4 && caller->size >= 4 + (size_t)ntohl(*(unsigned *)(void *)caller->held);
  if (!caller->body) read_head(caller);
  if (!caller->body) return 0;
  if (shape == EVENTS) look_for_events(caller);
  if (caller->length >= 0) return caller->size >= caller->body + (size_t)caller->length;
  return caller->size >= caller->body + 5 && !memcmp(caller->held + caller->size - 5, "0\r\n\r\n", 5);
}

static void answered(struct caller *caller) {
  answers++;
  bytes += (long)(caller->size - caller->body);
  if (shape != EVENTS) note(now() - caller->began);
  if (shape == CLOSE || shape == ONCE) {
    close(caller->fd);
    join(caller);
  }
  ask(caller);
}

static void hear(struct caller *caller) {
  if (caller->size == HELD) exit(fprintf(stderr, "an answer is too long\n") > 0);
  ssize_t got = read(caller->fd, caller->held + caller->size, HELD - caller->size);
  if (got < 0) fail("read");
  caller->size += (size_t)got;
  if (got == 0 && (shape != CLOSE || caller->size == 0)) exit(fprintf(stderr, "hung up\n") > 0);
  if (shape == CLOSE ? got == 0 : whole(caller)) answered(caller);
}

static int ascending(const void *a, const void *b) {
  unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;
  return (left > right) - (left < right);
}

int main(int argc, char **argv) {
  if (argc != 7) return 64;
  target = argv[1];
  int connections = atoi(argv[2]);
  long count = atol(argv[4]);
  const char *shapes[] = {"frame", "http", "close", "events", "once"};
  for (int i = 0; i < 5; i++)
    if (!strcmp(argv[5], shapes[i])) shape = (enum shape)i;
  FILE *file = fopen(argv[6], "rb");
  if (!file) fail(argv[6]);
  request_size = fread(request, 1, sizeof request, file);
  measured = calloc(MOST, sizeof *measured);
  struct caller *callers = calloc((size_t)connections, sizeof *callers);
  polled = epoll_create1(0);
  for (int i = 0; i < connections; i++) {
    callers[i].held = malloc(HELD);
    join(&callers[i]);
  }
  struct epoll_event events[256];
  long began = now(), end = began + atol(argv[3]) * 1000000L;
  for (int i = 0; i < connections; i++) ask(&callers[i]);
  while ((!count || answers < count) && (!answers || now() < end)) {
    int found = epoll_wait(polled, events, 256, 1000);
    for (int i = 0; i < found; i++) hear(events[i].data.ptr);
  }
  double seconds = (double)(now() - began) / 1e9;
  qsort(measured, (size_t)measures, sizeof *measured, ascending);
  double p50 = measures ? measured[measures / 2] / 1e3 : 0, p99 = measures ? measured[measures * 99 / 100] / 1e3 : 0;
  printf("{\"answers\": %ld, \"bytes\": %ld, \"seconds\": %.6f, \"p50\": %.3f, \"p99\": %.3f}\n", answers, bytes, seconds,
         p50, p99);
  return 0;
}
