/* What the tests in C have in common. */
#ifndef MOE_TESTS_C_CHECK_H
#define MOE_TESTS_C_CHECK_H

#include <moe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void check(int ok, const char* what, int line, const moe_error* error) {
  if (ok) return;
  ++failures;
  fprintf(stderr, "line %d: %s%s%s\n", line, what, error != NULL ? ": " : "", error != NULL ? error->message : "");
}

/* The call worked, and says so in the error. */
#define OK(call) check((call) == MOE_OK && error.code == MOE_OK && error.message[0] == '\0', #call, __LINE__, &error)
/* It failed with this status and a message that names something. */
#define FAILS(status, names, call)                                                              \
  check((call) == (status) && error.code == (status) && strstr(error.message, (names)) != NULL, \
        #status " naming '" names "' from " #call, __LINE__, &error)
#define CHECK(condition) check((condition), #condition, __LINE__, NULL)

#define init_error(error) moe_error_init((error), sizeof *(error))

static int finish(const char* name) {
  printf("%s: %d failures\n", name, failures);
  return failures == 0 ? 0 : 1;
}

#endif
