/* SPDX-License-Identifier: MIT
 * What one agent's state is now, as a value: what a save would store of it, read back. So it goes by the agent's own `save`, finds
 * instances that are not in memory too, and needs no second way to look into a Lua state. For tests and people (src/module), not
 * for hot paths. See state_write.c. */
#include "codec/native.h"
#include "core/id.h"
#include "runtime/state.h"

static tr_value *value_of(tr_mem *mem, tr_slice bytes, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_native_parse(bytes, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

/* The record's value; a shard's becomes a field of what there is. */
static int take(tr_mem *mem, tr_snapshot_reader *reader, size_t i, tr_value **out, tr_error *error) {
  tr_slice bytes;
  tr_record record = tr_snapshot_at(reader->snapshot, i);
  int rc = tr_snapshot_read(reader, i, &bytes, error);
  tr_value *value = rc ? NULL : value_of(mem, bytes, error);
  if (!value) return rc ? rc : error->code;
  if (!record.part.n) {
    tr_value_free(*out);
    *out = value;
    return 0;
  }
  if (!*out && !(*out = tr_value_map(mem))) {
    tr_value_free(value);
    return tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  return tr_value_set(*out, record.part, value) ? tr_error_set(error, TR_EMEMORY, "out of memory") : 0;
}

static int read_state(tr_mem *mem, tr_slice bytes, tr_slice id, tr_value **out, tr_error *error) {
  const tr_slice kind = TR_SLICE_LITERAL("state");
  tr_snapshot *snapshot = NULL;
  tr_snapshot_reader reader;
  int rc = tr_snapshot_new(mem, bytes, 1, &snapshot, error);
  if (rc) return rc;
  tr_snapshot_reader_init(&reader, snapshot, mem);
  size_t i = tr_snapshot_find_key(snapshot, kind, id);
  if (i == TR_SNAPSHOT_NONE)
    rc = tr_error_set(error, TR_ENOT_FOUND, "there is no instance %.*s, or its state could not be saved (the log says why)",
                      TR_SLICE_ARG(id));
  for (; !rc && i != TR_SNAPSHOT_NONE; i = tr_snapshot_next_key(snapshot, i)) rc = take(mem, &reader, i, out, error);
  tr_snapshot_reader_fini(&reader);
  tr_snapshot_free(snapshot);
  return rc;
}

int tr_runtime_state_of(troupe_t *rt, const char *id, troupe_value_t **out) {
  tr_error *error = tr_runtime_error(rt);
  tr_buf bytes;
  tr_only only;
  const char *const names[] = { id, NULL };
  *out = NULL;
  int rc = tr_only_init(&only, &rt->mem, names);
  if (rc) return tr_error_set(error, rc, "%s is not an agent's id", id);
  tr_buf_init(&bytes, &rt->mem);
  rc = tr_state_write(rt, &only, &bytes, error);
  if (rc >= 0) rc = read_state(&rt->mem, tr_buf_view(&bytes), tr_slice_of(id), out, error);
  if (rc) {
    tr_value_free(*out);
    *out = NULL;
  }
  tr_buf_fini(&bytes);
  tr_only_fini(&only);
  return rc;
}
