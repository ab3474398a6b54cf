/* SPDX-License-Identifier: MIT
 * The writer: beginning, records, end, through the caller's write function.
 *
 * It keeps nothing but counts and one small buffer, so that what it costs does not grow with the snapshot. The buffer
 * gathers heads and small bodies; a body that is as large as the buffer goes out from where it lies.
 * A failed write is final: bytes are missing then, and everything after would be in the wrong place. What is refused
 * before a byte of it was written (a bad name, a damaged record of the older snapshot) leaves the writer as it was.
 * Read snapshot.c next. */
#include "store/format.h"

#include "base/text.h"

int tr_snapshot_write_buf(void *ud, tr_slice bytes, tr_error *error) {
  if (tr_buf_slice(ud, bytes)) return 0;
  return tr_error_set(error, TR_EMEMORY, "out of memory: the snapshot has over %zu bytes", ((tr_buf *)ud)->len);
}

/* ---- bytes ---- */

static int write_out(tr_snapshot_writer *writer, tr_slice bytes, tr_error *error) {
  if (writer->err || bytes.n == 0) return writer->err;
  int err = writer->write(writer->ud, bytes, error);
  if (err > 0) err = TR_EIO;
  if (err) tr_error_set(error, err, "the snapshot could not be written at byte %llu", (unsigned long long)writer->size);
  return writer->err = err;
}

static int flush(tr_snapshot_writer *writer, tr_error *error) {
  size_t n = writer->held;
  writer->held = 0;
  return write_out(writer, tr_slice_make(writer->buffer, n), error);
}

static int put(tr_snapshot_writer *writer, tr_slice bytes, tr_error *error) {
  if (bytes.n > sizeof writer->buffer - writer->held && flush(writer, error)) return writer->err;
  if (bytes.n >= sizeof writer->buffer) {
    if (write_out(writer, bytes, error)) return writer->err;
  } else if (bytes.n) {
    memcpy(writer->buffer + writer->held, bytes.p, bytes.n);
    writer->held += bytes.n;
  }
  writer->size += bytes.n;
  return writer->err;
}

/* ---- the format ---- */

int tr_snapshot_writer_begin(tr_snapshot_writer *writer, tr_write_fn write, void *ud, tr_error *error) {
  writer->write = write;
  writer->ud = ud;
  writer->err = 0;
  writer->size = writer->count = writer->bodies = writer->held = 0;
  uint8_t begin[BEGIN_SIZE];
  memcpy(begin, MAGIC.p, MAGIC.n);
  tr_put32(begin + BEGIN_VERSION, TR_SNAPSHOT_VERSION);
  uint32_t crc = tr_crc32c(0, tr_slice_make(begin, BEGIN_CRC));
  tr_put32(begin + BEGIN_CRC, crc);
  writer->chain = tr_chain(0, crc);
  return put(writer, tr_slice_make(begin, sizeof begin), error);
}

static int check_name(const char *what, tr_slice name, size_t least, tr_error *error) {
  if (name.n < least) return tr_error_set(error, TR_EINVALID, "the %s of a record is empty", what);
  if (name.n > TR_SNAPSHOT_NAME_MAX)
    return tr_error_set(error, TR_EINVALID, "the %s of a record has %zu bytes, more than %d", what, name.n,
                        TR_SNAPSHOT_NAME_MAX);
  if (!tr_utf8_valid(name)) return tr_error_set(error, TR_EINVALID, "the %s of a record is not UTF-8", what);
  return 0;
}

static int put_record(tr_snapshot_writer *writer, const tr_record *record, tr_slice body, tr_error *error) {
  uint8_t head[HEAD_SIZE] = { 0 };
  tr_put32(head + HEAD_TAG, TAG_RECORD);
  tr_put32(head + HEAD_VERSION, record->version);
  tr_put32(head + HEAD_BODY_CRC, tr_crc32c(0, body));
  tr_put64(head + HEAD_BODY, body.n);
  tr_put16(head + HEAD_KIND, (uint16_t)record->kind.n);
  tr_put16(head + HEAD_KEY, (uint16_t)record->key.n);
  tr_put16(head + HEAD_PART, (uint16_t)record->part.n);
  uint32_t crc = tr_crc32c(0, tr_slice_make(head + HEAD_CHECKED, HEAD_SIZE - HEAD_CHECKED));
  crc = tr_crc32c(tr_crc32c(tr_crc32c(crc, record->kind), record->key), record->part);
  tr_put32(head + HEAD_CRC, crc);
  put(writer, tr_slice_make(head, sizeof head), error);
  put(writer, record->kind, error);
  put(writer, record->key, error);
  put(writer, record->part, error);
  if (put(writer, body, error)) return writer->err;
  writer->chain = tr_chain(writer->chain, crc);
  writer->count++;
  writer->bodies += body.n;
  return 0;
}

int tr_snapshot_writer_add(tr_snapshot_writer *writer, const tr_record *record, tr_slice body, tr_error *error) {
  if (writer->err) return writer->err;
  int err = check_name("kind", record->kind, 1, error);
  if (!err) err = check_name("key", record->key, 0, error);
  if (!err) err = check_name("part", record->part, 0, error);
  return err ? err : put_record(writer, record, body, error);
}

int tr_snapshot_writer_take(tr_snapshot_writer *writer, tr_snapshot_reader *from, size_t i, tr_error *error) {
  if (writer->err) return writer->err;
  tr_slice body;
  int err = tr_snapshot_read(from, i, &body, error);
  if (err) return err;
  tr_record record = tr_snapshot_at(from->snapshot, i);
  return put_record(writer, &record, body, error);
}

int tr_snapshot_writer_end(tr_snapshot_writer *writer, tr_error *error) {
  if (writer->err) return writer->err;
  uint8_t end[END_SIZE] = { 0 };
  tr_put32(end + END_TAG, TAG_END);
  tr_put64(end + END_COUNT, writer->count);
  tr_put64(end + END_TOTAL, writer->size + END_SIZE);
  tr_put64(end + END_BODIES, writer->bodies);
  tr_put32(end + END_CHAIN, writer->chain);
  tr_put32(end + END_CRC, tr_crc32c(0, tr_slice_make(end + END_CHECKED, END_SIZE - END_CHECKED)));
  put(writer, tr_slice_make(end, sizeof end), error);
  int err = flush(writer, error);
  writer->err = err ? err : TR_EINVALID; /* nothing may follow */
  return err;
}
