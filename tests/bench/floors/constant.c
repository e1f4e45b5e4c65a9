/* A floor: answers every read on a Unix socket with the same bytes. One thread, epoll.
 * constant SOCKET FILE: FILE holds the answer; prints "ready" when it listens. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char answer[65536], asked[65536];

static int listening(const char *path) {
  struct sockaddr_un where = {.sun_family = AF_UNIX};
  strncpy(where.sun_path, path, sizeof where.sun_path - 1);
  int here = socket(AF_UNIX, SOCK_STREAM, 0);
  if (here < 0 || bind(here, (struct sockaddr *)&where, sizeof where) || listen(here, 1024)) {
    perror(path);
    exit(1);
  }
  return here;
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  FILE *file = fopen(argv[2], "rb");
  if (!file) return 1;
  size_t size = fread(answer, 1, sizeof answer, file);
  int here = listening(argv[1]), polled = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = here}, events[256];
  epoll_ctl(polled, EPOLL_CTL_ADD, here, &event);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int found = epoll_wait(polled, events, 256, -1);
    for (int i = 0; i < found; i++) {
      int fd = events[i].data.fd;
      if (fd == here) {
        event.data.fd = accept4(here, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (event.data.fd >= 0) epoll_ctl(polled, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      ssize_t got = read(fd, asked, sizeof asked);
      if (got <= 0) {
        if (got == 0 || errno != EAGAIN) close(fd);
      } else if (send(fd, answer, size, MSG_NOSIGNAL) < 0) {
        close(fd);
      }
    }
  }
}
