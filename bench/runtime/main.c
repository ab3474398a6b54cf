/* The runtime's bench: one run of one row, one line of JSON.
 *
 *   build/bench/runtime --list
 *   build/bench/runtime call [--count N] [--threads N] [--program build/troupe]
 *
 * bench/turns runs them in turn, again and again, and prints the table. The rows: messages.c (calls, sends, events, spawning), sizes.c
 * (the same beside many agents or subscriptions, and what an idle agent takes), process.c (start), state.c (saving, fairness), reload.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

static const bench_row *const tables[] = { bench_message_rows, bench_size_rows, bench_process_rows, bench_state_rows, bench_reload_rows,
                                          NULL };

static int list(void) {
  for (int i = 0; tables[i]; i++)
    for (const bench_row *row = tables[i]; row->name; row++) printf("%s %ld\n", row->name, row->count);
  return 0;
}

static const bench_row *find(const char *name) {
  for (int i = 0; tables[i]; i++)
    for (const bench_row *row = tables[i]; row->name; row++)
      if (strcmp(row->name, name) == 0) return row;
  bench_die("there is no row `%s` (--list shows them)", name);
}

int main(int argc, char **argv) {
  long count = 0;
  const char *name = NULL;
  for (int i = 1; i < argc; i++) {
    bool more = i + 1 < argc;
    if (strcmp(argv[i], "--list") == 0) return list();
    if (more && strcmp(argv[i], "--count") == 0) count = atol(argv[++i]);
    else if (more && strcmp(argv[i], "--threads") == 0) bench_threads = (unsigned)atoi(argv[++i]);
    else if (more && strcmp(argv[i], "--program") == 0) bench_troupe = argv[++i];
    else name = argv[i];
  }
  if (!name) bench_die("usage: runtime ROW [--count N] [--threads N] [--program FILE] | --list");
  const bench_row *row = find(name);
  printf("{\"row\":\"%s\"", name);
  row->run(count > 0 ? count : row->count);
  puts("}");
  return 0;
}
