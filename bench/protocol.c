/* SPDX-License-Identifier: MIT
 * protocol.c: the protocols by name. */
#include "protocol.h"

const protocol *protocol_named(const char *name) {
    static const protocol *const all[] = {&protocol_grpc, &protocol_nats};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i]->name) == 0)
            return all[i];
    return NULL;
}
