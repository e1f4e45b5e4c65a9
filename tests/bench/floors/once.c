/* A floor: one program, one round trip on a Unix socket, the answer to stdout. once SOCKET FILE: FILE is the request. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char data[65536];
  struct sockaddr_un where = {.sun_family = AF_UNIX};
  if (argc != 3) return 64;
  strncpy(where.sun_path, argv[1], sizeof where.sun_path - 1);
  FILE *file = fopen(argv[2], "rb");
  int peer = socket(AF_UNIX, SOCK_STREAM, 0);
  if (!file || connect(peer, (struct sockaddr *)&where, sizeof where)) return 1;
  size_t size = fread(data, 1, sizeof data, file), had = 0;
  if (write(peer, data, size) != (ssize_t)size) return 1;
  while (had < 4 || had < 4 + (size_t)ntohl(*(unsigned *)(void *)data)) {
    ssize_t got = read(peer, data + had, sizeof data - had);
    if (got <= 0) return 1;
    had += (size_t)got;
  }
  return write(1, data + 4, had - 4) < 0;
}
