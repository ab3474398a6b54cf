/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as a file of rights and as one of tokens. What is read can be asked; an anonymous one has only what names it. */
#include <stdlib.h>

#include "host/rights.h"
#include "net/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const tr_rights *rights, tr_slice text) {
  static const tr_slice who[] = { TR_SLICE_LITERAL(""), TR_SLICE_LITERAL("token:ci\n"), TR_SLICE_LITERAL("cert:a\ncert:b") };
  for (size_t i = 0; i < 3; i++) {
    const tr_rights_entry *entry = tr_rights_find(rights, who[i]);
    for (int right = 0; entry && right < TR_RIGHTS; right++) {
      bool any = tr_rights_allow(entry, (tr_right)right, text, text);
      if (!any && tr_rights_allow(entry, (tr_right)right, text, (tr_slice){ NULL, 0 })) abort(); /* a key only adds */
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem mem;
  tr_mem_init(&mem);
  tr_slice text = tr_slice_make(data, size);
  tr_rights *rights;
  tr_tokens *tokens;
  tr_error error;
  tr_error_init(&error);
  if (tr_rights_parse(&mem, text, "rights", &rights, &error) == 0) {
    ask(rights, tr_slice_make(data, size < 20 ? size : 20));
    tr_rights_unref(rights);
  } else if (!error.text[0]) {
    abort();
  }
  tr_error_init(&error);
  if (tr_tokens_parse(&mem, text, "tokens", &tokens, &error) == 0) {
    (void)tr_tokens_find(tokens, text);
    tr_tokens_free(tokens);
  } else if (!error.text[0]) {
    abort();
  }
  if (mem.used) abort();
  return 0;
}
