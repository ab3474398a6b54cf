/* What the rows of the runtime's bench share: a runtime that counts its memory, clocks, and one line of JSON a run. Only the public
 * header of troupe is used, so a row measures what an embedding program would see. */
#ifndef BENCH_KIT_H
#define BENCH_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <troupe.h>

typedef struct bench_row {
  const char *name;
  long count;             /* operations of a run; --count gives another number */
  void (*run)(long count);
} bench_row;
extern const bench_row bench_message_rows[], bench_size_rows[], bench_process_rows[], bench_state_rows[], bench_reload_rows[];

extern const char *bench_troupe; /* the program */
extern unsigned bench_threads;   /* isolates asked for; 1: none beyond the caller's */

void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A runtime with these agents; ends the program where it cannot be made. */
troupe_t *bench_open(const char *lua);
size_t bench_bytes(void); /* in use by all runtimes of this process */
void bench_send(troupe_t *rt, const char *agent, const char *type, long n); /* { n = n } */
void bench_settle(troupe_t *rt); /* until nothing is ready, in no isolate */
/* Ask `agent` for `Run { n = n }` and wait for the answer. */
void bench_run(troupe_t *rt, const char *agent, long n);

/* The timed part; what was counted in it is `operations`. bench_begin may be called again: the last one counts. */
void bench_begin(void);
void bench_end(long operations);
double bench_wall_us(void), bench_cpu_us(void);
void bench_value(const char *name, double value); /* one more figure of this run */

#endif
