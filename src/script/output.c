/* SPDX-License-Identifier: MIT
 * What scripts print and log, bounded: so much a line, and so many lines of one agent in a second. What is above that is left out, and
 * the log says so, once where it begins and once with their number. A program may print as much as it likes: that is what it is for. */
#include "script/internal.h"

#define LINES_MOST 10000

bool tr_output_take(lua_State *L, size_t size) {
  tr_script *script = tr_script_of(L);
  const tr_lua_turn *lt = script->running;
  tr_meter_charge(L, 100 + size / 16);
  if (!lt || lt->def->program) return true;
  tr_instance_more *more = tr_instance_get_more(lt->instance);
  if (!more) return true;
  tr_time now = tr_core_now(script->core);
  char agent[160];
  if (more->output_lines >= LINES_MOST) tr_agent_name(lt->turn->agent, agent, sizeof agent);
  if (now - more->output_from >= TR_SECONDS(1)) {
    if (more->output_lines > LINES_MOST)
      tr_log_write(tr_core_log(script->core), TR_LOG_WARN, "agent.output", "agent=%s left_out=%llu", agent,
                   (unsigned long long)(more->output_lines - LINES_MOST));
    more->output_from = now;
    more->output_lines = 0;
  }
  if (++more->output_lines == LINES_MOST + 1)
    tr_log_write(tr_core_log(script->core), TR_LOG_WARN, "agent.output", "agent=%s lines=%d in a second; the rest of them is left out", agent, LINES_MOST);
  return more->output_lines <= LINES_MOST;
}
