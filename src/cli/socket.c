/* SPDX-License-Identifier: MIT
 * Where running processes have their operator's sockets: PID.sock in $XDG_RUNTIME_DIR/troupe, or without that variable in
 * /tmp/troupe-UID. The folder must be ours and closed to all others, or nothing in it is believed: in /tmp anybody may
 * have made one of that name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"

static bool folder_name(char *out, size_t size) {
  const char *run = getenv("XDG_RUNTIME_DIR");
  int n = run && *run == '/' ? snprintf(out, size, "%s/troupe", run) : snprintf(out, size, "/tmp/troupe-%ld", (long)geteuid());
  return n > 0 && (size_t)n < size;
}

/* NULL: it is ours alone; else what is wrong with it. */
static const char *folder_fault(const char *folder) {
  struct stat st;
  if (lstat(folder, &st)) return strerror(errno);
  if (!S_ISDIR(st.st_mode)) return "not a folder";
  if (st.st_uid != geteuid()) return "not ours";
  return st.st_mode & 077 ? "open to others (chmod 700)" : NULL;
}

void cli_open_socket(troupe_t *rt) {
  char folder[CLI_SOCKET_MAX], address[CLI_SOCKET_MAX + 40];
  const char *fault = "its name is too long";
  if (folder_name(folder, sizeof folder)) {
    if (mkdir(folder, 0700) == 0 || errno == EEXIST) fault = folder_fault(folder);
    else fault = strerror(errno);
  }
  snprintf(address, sizeof address, "unix:%s/%ld.sock", folder, (long)getpid());
  if (!fault && tr_runtime_open_operator(rt, address)) fault = troupe_error(rt);
  if (fault) tr_log_write(tr_runtime_log(rt), TR_LOG_WARN, "operator.socket", "folder=%s error=\"%s\" (troupe ps will not see this one)", folder, fault);
}

/* Does anybody listen there? A process that was killed leaves the file of its socket behind. */
static bool answers(const char *path) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (strlen(path) >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd >= 0) fcntl(fd, F_SETFL, O_NONBLOCK); /* a frozen process has a full queue in the end: it is there, too */
  bool there = fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED);
  if (fd >= 0) close(fd);
  return there;
}

/* The process of "123.sock", if it is still there; the file of one that is not is removed. */
static long alive(const char *folder, const char *name) {
  char *end, path[CLI_SOCKET_MAX + 300];
  long pid = strtol(name, &end, 10);
  if (pid <= 0 || strcmp(end, ".sock")) return 0;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (answers(path)) return pid;
  unlink(path);
  return 0;
}

static int by_number(const void *a, const void *b) { return *(const long *)a < *(const long *)b ? -1 : 1; }

int cli_find_running(long *pids, int most, char *folder) {
  int count = 0;
  if (!folder_name(folder, CLI_SOCKET_MAX) || folder_fault(folder)) return 0;
  DIR *dir = opendir(folder);
  if (!dir) return 0;
  for (const struct dirent *entry; count < most && (entry = readdir(dir));) {
    long pid = alive(folder, entry->d_name);
    if (pid) pids[count++] = pid;
  }
  closedir(dir);
  qsort(pids, (size_t)count, sizeof *pids, by_number);
  return count;
}
