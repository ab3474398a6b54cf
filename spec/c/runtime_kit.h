/* SPDX-License-Identifier: MIT
 * A runtime for the checks of this room: its scripts' print and its log in one text, its clock moved by hand. */
#ifndef RUNTIME_KIT_H
#define RUNTIME_KIT_H

#include "check.h"
#include "troupe.h"

extern char kit_log[65536];
extern int64_t kit_clock; /* µs; 0: the system's */

void kit_on_log(void *ud, troupe_log_level level, const char *event, const char *text);
troupe_t *kit_new(void); /* NULL: no memory */
void *kit_allocate(void *ud, void *ptr, size_t old_size, size_t new_size); /* of check_mem; options.allocate */
/* The same with this script loaded. */
troupe_t *kit_open(const char *source); /* NULL: no memory */
/* Work until nothing is ready. */
void kit_work(troupe_t *rt);
/* The clock goes on, and what is due is done. */
void kit_pass(troupe_t *rt, double seconds);
/* Call an agent of it and pass time until its answer is there: the body as JSON, or the error. body is taken. */
typedef struct kit_heard { troupe_t *rt; int replies, status; char text[300]; } kit_heard;
kit_heard kit_ask(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body);
int kit_open_files(void); /* descriptors of this process */
/* What was printed since the last call, the lines joined by a blank. */
const char *kit_printed(void);
/* A path in this case's own folder. */
const char *kit_path(void);

#endif
