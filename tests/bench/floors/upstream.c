/* What stands behind every proxy: an HTTP/1.1 server that does no more than it must. One thread, epoll.
 *
 * upstream: prints its port of 127.0.0.1. What a request's body says decides the answer: "burst": a stream of 200 events,
 * each sent by itself; "paced": 100 events, one each 5 ms, each with the clock at its sending; anything else: 1.9 KB of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HELD 65536
#define BURST 200
#define PACED 100

struct caller {
  int fd;
  int timer;    /* of the paced stream; 0: none */
  int left;     /* events of it */
  size_t size;
  char held[HELD];
};

static const char EVENTS[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
static char json[4096], word[1024];
static size_t json_size, word_size;
static int polled;

static void add(int fd, void *who) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
  epoll_ctl(polled, EPOLL_CTL_ADD, fd, &event);
}

static int event(char *into, const char *text) { /* one chunk that holds one event */
  char said[512];
  int size = snprintf(said, sizeof said,
                      "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                      "{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", text);
  return sprintf(into, "%x\r\n%s\r\n", size, said);
}

static void make_answers(void) {
  char text[1700];
  memset(text, 'a', sizeof text);
  text[sizeof text - 1] = 0;
  char body[2048];
  int size = snprintf(body, sizeof body,
                      "{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-6\",\"content\":"
                      "[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":12,"
                      "\"output_tokens\":400}}", text);
  json_size = (size_t)sprintf(json, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                              "request-id: req_01\r\n\r\n%s", size, body);
  word_size = (size_t)event(word, " of the words");
}

static void say(struct caller *caller, const char *data, size_t size) {
  while (size) {
    ssize_t sent = send(caller->fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return;
    data += sent;
    size -= (size_t)sent;
  }
}

static void burst(struct caller *caller) {
  say(caller, EVENTS, sizeof EVENTS - 1);
  for (int i = 0; i < BURST; i++) say(caller, word, word_size);
  say(caller, "0\r\n\r\n", 5);
}

static void pace(struct caller *caller) {
  struct itimerspec each = {.it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000};
  say(caller, EVENTS, sizeof EVENTS - 1);
  caller->left = PACED;
  caller->timer = timerfd_create(CLOCK_MONOTONIC, 0);
  timerfd_settime(caller->timer, 0, &each, NULL);
  add(caller->timer, (void *)((unsigned long)caller | 1)); /* the last bit says that it is the timer's */
}

static void tick(struct caller *caller) {
  char said[1024], clock[64];
  unsigned long passed;
  struct timespec at;
  if (read(caller->timer, &passed, sizeof passed) < 0) return;
  clock_gettime(CLOCK_MONOTONIC, &at);
  sprintf(clock, "at=%ld;", at.tv_sec * 1000000000L + at.tv_nsec);
  int size = event(said, clock);
  if (!--caller->left) {
    close(caller->timer);
    caller->timer = 0;
    size += sprintf(said + size, "0\r\n\r\n");
  }
  say(caller, said, (size_t)size);
}

static size_t whole(struct caller *caller, char **body) { /* the bytes of the first request, once it is all there */
  char *end = memmem(caller->held, caller->size, "\r\n\r\n", 4), *found;
  if (!end) return 0;
  *end = 0;
  *body = end + 4;
  size_t head = (size_t)(end + 4 - caller->held), size = 0;
  if ((found = strcasestr(caller->held, "\r\ncontent-length:"))) {
    size = head + strtoul(found + 17, NULL, 10);
  } else if (strcasestr(caller->held, "\r\ntransfer-encoding:")) {
    char *last = memmem(*body, caller->size - head, "0\r\n\r\n", 5);
    size = last ? (size_t)(last + 5 - caller->held) : caller->size + 1;
  } else {
    size = head;
  }
  *end = '\r';
  return size <= caller->size ? size : 0;
}

static void leave(struct caller *caller) {
  if (caller->timer) close(caller->timer);
  close(caller->fd);
  caller->fd = -1; /* not freed: an event of its timer may be waiting */
}

static void hear(struct caller *caller) {
  ssize_t got = read(caller->fd, caller->held + caller->size, HELD - caller->size);
  if (got <= 0) {
    leave(caller);
    return;
  }
  caller->size += (size_t)got;
  char *body;
  size_t size = whole(caller, &body);
  if (!size) return;
  size_t rest = size - (size_t)(body - caller->held);
  if (memmem(body, rest, "burst", 5)) burst(caller);
  else if (memmem(body, rest, "paced", 5)) pace(caller);
  else say(caller, json, json_size);
  memmove(caller->held, caller->held + size, caller->size - size);
  caller->size -= size;
}

int main(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof where;
  int here = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  make_answers();
  polled = epoll_create1(0);
  if (bind(here, (struct sockaddr *)&where, length) || listen(here, 1024)) return 1;
  getsockname(here, (struct sockaddr *)&where, &length);
  printf("%d\n", ntohs(where.sin_port));
  fflush(stdout);
  add(here, NULL);
  struct epoll_event events[256];
  for (;;) {
    int found = epoll_wait(polled, events, 256, -1);
    for (int i = 0; i < found; i++) {
      unsigned long who = (unsigned long)events[i].data.ptr;
      struct caller *caller = (struct caller *)(who & ~1UL);
      if (!caller) {
        caller = calloc(1, sizeof *caller);
        caller->fd = accept(here, NULL, NULL);
        setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        add(caller->fd, caller);
      } else if (caller->fd >= 0) {
        if (who & 1) tick(caller);
        else hear(caller);
      }
    }
  }
}
