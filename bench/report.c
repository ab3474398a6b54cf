/* SPDX-License-Identifier: MIT
 * report.c: prints names and values. See report.h. */
#include "report.h"

#include <stdio.h>

static void name_it(report *r, const char *name) {
    if (r->pretty)
        printf("%-16s ", name);
    else
        printf("%s\"%s\": ", r->begun ? ", " : "{", name);
    r->begun = true;
}

void report_text(report *r, const char *name, const char *value) {
    name_it(r, name);
    if (r->pretty) {
        printf("%s\n", value);
        return;
    }
    putchar('"');
    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\')
            putchar('\\');
        putchar((unsigned char)*c < 0x20 ? ' ' : *c);
    }
    putchar('"');
}

void report_number(report *r, const char *name, double value, int decimals, const char *unit) {
    name_it(r, name);
    printf("%.*f", decimals, value);
    if (r->pretty)
        printf("%s%s\n", *unit ? " " : "", unit);
}

void report_end(report *r) {
    if (!r->pretty)
        puts("}");
    fflush(stdout);
}
