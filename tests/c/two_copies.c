/* two_copies LIBRARY COPY MODEL: two copies of libmoe_c.so in one process, each with its own models and sessions. */
#include <dlfcn.h>

#include "check.h"

struct copy {
  moe_status (*load)(const char*, int64_t, const moe_load_options*, moe_model**, moe_error*);
  moe_status (*create)(const moe_model*, const moe_session_options*, moe_session**, moe_error*);
  moe_status (*generate)(moe_session*, const int32_t*, int64_t, const moe_generate_options*, moe_reply*, moe_error*);
  moe_status (*tokens)(moe_session*, int32_t*, int64_t, int64_t*, moe_error*);
  void (*session_free)(moe_session*);
  void (*model_release)(moe_model*);
  void* handle;
  moe_model* model;
  moe_session* session;
};

static moe_error error;

static void* symbol(void* library, const char* name) {
  void* const found = dlsym(library, name);
  check(found != NULL, name, __LINE__, NULL);
  if (found == NULL) exit(1);
  return found;
}
/* ISO C has no conversion from an object's pointer to a function's; POSIX does. */
#define BIND(field, name) (*(void**)& copy->field = symbol(copy->handle, name))

static void open_copy(struct copy* copy, const char* library, const char* model) {
  copy->handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  check(copy->handle != NULL, library, __LINE__, NULL);
  if (copy->handle == NULL) exit(1);
  BIND(load, "moe_model_load");
  BIND(create, "moe_session_create");
  BIND(generate, "moe_generate");
  BIND(tokens, "moe_reply_tokens");
  BIND(session_free, "moe_session_free");
  BIND(model_release, "moe_model_release");
  OK(copy->load(model, MOE_TEXT, NULL, &copy->model, &error));
  OK(copy->create(copy->model, NULL, &copy->session, &error));
}

int main(int argc, char** argv) {
  struct copy copies[2];
  int32_t written[2][32], prompt[] = {1, 2, 3};
  int64_t count[2] = {-1, -1};
  int i;
  if (argc != 4) return 2;
  memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
  for (i = 0; i < 2; ++i) open_copy(&copies[i], argv[1 + i], argv[3]);
  CHECK(copies[0].load != copies[1].load);
  for (i = 0; i < 2; ++i) {
    moe_reply reply = {sizeof reply};
    moe_generate_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.max_tokens = 16;
    options.ignore_end_tokens = 1;
    OK(copies[i].generate(copies[i].session, prompt, 3, &options, &reply, &error));
    OK(copies[i].tokens(copies[i].session, written[i], 32, &count[i], &error));
  }
  CHECK(count[0] == 16 && count[1] == 16 && memcmp(written[0], written[1], 16 * sizeof(int32_t)) == 0);
  /* One goes, the other works on. */
  copies[0].session_free(copies[0].session);
  copies[0].model_release(copies[0].model);
  CHECK(dlclose(copies[0].handle) == 0);
  OK(copies[1].generate(copies[1].session, prompt, 3, NULL, NULL, &error));
  copies[1].session_free(copies[1].session);
  copies[1].model_release(copies[1].model);
  return finish("two_copies");
}
