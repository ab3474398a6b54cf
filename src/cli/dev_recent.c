/* SPDX-License-Identifier: MIT
 * The last messages that came from outside of the agents (the prompt, a door, a program): they can be sent again, to see what the new code
 * makes of them. */
#include <stdlib.h>
#include <string.h>

#include "cli/dev.h"

static void clear(cli_recent *message) {
  free(message->kind);
  free(message->to);
  free(message->type);
  free(message->body);
  *message = (cli_recent){ NULL, NULL, NULL, NULL };
}

void cli_recent_keep(cli_dev *dev, const char *kind, const char *to, const char *type, const char *body) {
  cli_recent new = { strdup(kind), strdup(to), strdup(type), strdup(body) };
  if (!new.kind || !new.to || !new.type || !new.body) {
    clear(&new);
    return;
  }
  if (dev->recent_count == CLI_RECENT_MOST) {
    clear(&dev->recent[0]);
    memmove(dev->recent, dev->recent + 1, (CLI_RECENT_MOST - 1) * sizeof *dev->recent);
    dev->recent_count--;
  }
  dev->recent[dev->recent_count++] = new;
}

void cli_recent_free(cli_dev *dev) {
  for (size_t i = 0; i < dev->recent_count; i++) clear(&dev->recent[i]);
  dev->recent_count = 0;
}

void cli_recent_list(const cli_dev *dev) {
  if (dev->recent_count == 0) cli_dev_say(dev, "no message has come from outside of the agents yet");
  for (size_t i = 0; i < dev->recent_count; i++) {
    const cli_recent *m = &dev->recent[i];
    cli_dev_say(dev, "%2zu  %-7s %s  %s %.200s", dev->recent_count - i, m->kind, m->to, m->type, m->body);
  }
}

void cli_recent_send(cli_dev *dev, size_t count) {
  size_t first = count < dev->recent_count ? dev->recent_count - count : 0;
  if (dev->recent_count == 0) cli_recent_list(dev);
  for (size_t i = first; i < dev->recent_count; i++)
    if (cli_dev_send(dev, &dev->recent[i])) return;
}
