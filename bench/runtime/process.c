/* From the start of the process to its first answer, as a user would see it: `troupe run` of a file whose program calls an agent and
 * prints; the clock stops at the first byte. With many registered types, the file returns as many agents. */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

extern char **environ;

static void write_script(const char *path, long types) {
  FILE *file = fopen(path, "w");
  if (!file) bench_die("%s cannot be written", path);
  fprintf(file,
          "local list = { function(ctx) print(ctx:call('a1', 'Ask', { n = 1 }).n) end }\n"
          "local on = { Ask = function(self, m) return { n = m.n } end }\n"
          "for i = 1, %ld do list[#list + 1] = { type = 'a' .. i, on = on } end\n"
          "return list\n", types);
  fclose(file);
}

static void start(long types) {
  char path[] = "/tmp/troupe-bench-XXXXXX.lua", byte;
  int fd = mkstemps(path, 4), ends[2], status;
  if (fd < 0 || pipe(ends)) bench_die("no file to write the script to");
  close(fd);
  write_script(path, types);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  char program[4096];
  snprintf(program, sizeof program, "%s", bench_troupe);
  char *const argv[] = { program, (char[]){ "run" }, path, NULL };
  pid_t pid;
  double begin = bench_wall_us();
  if (posix_spawn(&pid, bench_troupe, &actions, NULL, argv, environ)) bench_die("%s cannot be started", bench_troupe);
  close(ends[1]);
  if (read(ends[0], &byte, 1) != 1) bench_die("%s gave no answer", bench_troupe);
  bench_value("answer_ms", (bench_wall_us() - begin) / 1000);
  struct rusage usage;
  if (wait4(pid, &status, 0, &usage) != pid || status) bench_die("%s ended with status %d", bench_troupe, status);
  bench_value("cpu_ms", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  unlink(path);
}

const bench_row bench_process_rows[] = { { "start-1", 1, start }, { "start-10k", 10000, start }, { NULL, 0, NULL } };
