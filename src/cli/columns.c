/* SPDX-License-Identifier: MIT
 * How wide text is on a terminal: what the editor's lines and carets under lines need to know. wcwidth() would go by the locale, which may be C. */
#include <stdint.h>

#include "cli/cli.h"

/* Those of East Asia and pictures have two columns, marks above others none. */
static int width_of(uint32_t code) {
  static const struct { uint32_t first, last; int width; } ranges[] = {
    { 0x300, 0x36F, 0 }, { 0x1100, 0x115F, 2 }, { 0x200B, 0x200F, 0 }, { 0x2E80, 0xA4CF, 2 }, { 0xAC00, 0xD7A3, 2 }, { 0xF900, 0xFAFF, 2 },
    { 0xFE00, 0xFE0F, 0 }, { 0xFE30, 0xFE6F, 2 }, { 0xFF00, 0xFF60, 2 }, { 0xFFE0, 0xFFE6, 2 }, { 0x1F300, 0x1FAFF, 2 }, { 0x20000, 0x3FFFD, 2 },
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
    if (code >= ranges[i].first && code <= ranges[i].last) return ranges[i].width;
  return 1;
}

int cli_width(const char *text, size_t n, size_t *length) {
  uint32_t code = (unsigned char)text[0];
  size_t i = 1;
  code &= code < 0xC0 ? 0x7F : code < 0xE0 ? 0x1F : code < 0xF0 ? 0x0F : 0x07;
  for (; i < n && i < 4 && ((unsigned char)text[i] & 0xC0) == 0x80; i++) code = code << 6 | ((unsigned char)text[i] & 0x3F);
  *length = i;
  return width_of(code);
}
