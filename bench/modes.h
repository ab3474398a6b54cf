/* SPDX-License-Identifier: MIT
 * modes.h: what the generator can do; one file each. A mode reports, and leaves what went wrong in
 * the engine. */
#ifndef BENCH_MODES_H
#define BENCH_MODES_H

#include "engine.h"
#include "options.h"
#include "report.h"

void requests_mode(engine *e, const options *o, report *r);
void events_mode(engine *e, const options *o, report *r);
void idle_mode(engine *e, const options *o, report *r);
void first_mode(engine *e, const options *o, report *r);

#endif
