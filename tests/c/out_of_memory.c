/* out_of_memory MODEL [every]: the n-th allocation of a call fails, or all from the n-th on. The call says
 * MOE_OUT_OF_MEMORY, or does without; nothing crashes, and the same call afterwards gives what it gave before. Of a model
 * that is loaded or inspected only some allocations fail, with "every" all of them, one after the other. */
#include <errno.h>
#include <stddef.h>

#include "check.h"

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static long allocations; /* since the count was set to 0 */
static long first_denied = -1, last_denied;

static int is_denied(void) {
  const long n = allocations++;
  if (first_denied < 0 || n < first_denied || n > last_denied) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return is_denied() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return is_denied() ? NULL : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return is_denied() ? NULL : __libc_realloc(old, size); }
void* memalign(size_t alignment, size_t size) { return is_denied() ? NULL : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, size_t alignment, size_t size) {
  void* const block = memalign(alignment, size);
  if (block == NULL) return ENOMEM;
  *out = block;
  return 0;
}

static moe_model* model;
static moe_session* session;
static moe_error error;
static int32_t prompt[16];
static int64_t prompt_count;
/* What a call gave, to compare. */
static unsigned char result[65536];
static int64_t result_bytes;

/* Null, or one whose tasks run here: no exception of a task may pass the host's frames. */
static moe_pool* pool;
static int inside_pool;
static void host_pool(void* host, int64_t count, void* context, moe_task task) {
  int64_t i;
  (void)host;
  ++inside_pool;
  for (i = 0; i < count; ++i) task(context, i, (int32_t)(i % 2));
  --inside_pool;
}

static const char* model_path;
static moe_status load(void) {
  moe_model* loaded = NULL;
  moe_dims dims;
  moe_load_options options;
  moe_status status;
  moe_load_options_init(&options, sizeof options);
  options.pool = pool;
  status = moe_model_load(model_path, MOE_TEXT, &options, &loaded, &error);
  CHECK((loaded != NULL) == (status == MOE_OK));
  if (status == MOE_OK) {
    memset(&dims, 0, sizeof dims);
    dims.struct_size = sizeof dims;
    CHECK(moe_model_dims(loaded, &dims, NULL) == MOE_OK);
    result_bytes = sizeof dims;
    memcpy(result, &dims, sizeof dims);
  }
  moe_model_release(loaded);
  return status;
}
static moe_status inspect(void) {
  return moe_inspect_json(model_path, MOE_TEXT, (char*)result, sizeof result, &result_bytes, &error);
}
static moe_status info(void) { return moe_model_info_json(model, (char*)result, sizeof result, &result_bytes, &error); }
static moe_status tokenize(void) {
  int64_t count = 0;
  const moe_status status =
      moe_tokenize(model, "Hello there, H\xC3\xA9llo", MOE_TEXT, 0, (int32_t*)result, 1000, &count, &error);
  result_bytes = count * 4;
  return status;
}
static moe_status chat(void) {
  return moe_chat_render(model, "[{\"role\": \"user\", \"content\": \"Hello\"}]", MOE_TEXT, NULL, (char*)result,
                         sizeof result, &result_bytes, &error);
}
static moe_status create(void) {
  moe_session* created = NULL;
  moe_session_options options;
  moe_status status;
  moe_session_options_init(&options, sizeof options);
  options.pool = pool;
  status = moe_session_create(model, &options, &created, &error);
  moe_session_free(created);
  return status;
}
/* A sequence of its own, one step, and the logits. */
static moe_status step(void) {
  int64_t sequence = -1, length = -1, room_before = 0, room = 0;
  moe_batch_item item;
  moe_logits_view view = {sizeof view};
  moe_status status;
  moe_session_free_tokens(session, &room_before, NULL);
  moe_batch_item_init(&item, sizeof item);
  status = moe_session_open(session, &sequence, &error);
  if (status != MOE_OK) return status;
  item.sequence = sequence;
  item.tokens = prompt;
  item.token_count = prompt_count;
  status = moe_session_step(session, &item, 1, &error);
  CHECK(moe_session_length(session, sequence, &length, NULL) == MOE_OK || first_denied >= 0);
  CHECK(length == (status == MOE_OK ? prompt_count : 0) || first_denied >= 0);
  if (status == MOE_OK) {
    status = moe_session_logits(session, &view, &error);
    if (status == MOE_OK) {
      result_bytes = view.vocab_size * (int64_t)sizeof(float);
      memcpy(result, view.values, (size_t)result_bytes);
    }
  }
  moe_session_close(session, sequence, NULL);
  moe_session_free_tokens(session, &room, NULL);
  CHECK(room == room_before);
  return status;
}
static moe_status generate(void) {
  moe_generate_options options;
  int64_t count = 0;
  moe_status status;
  moe_generate_options_init(&options, sizeof options);
  options.max_tokens = 6;
  options.ignore_end_tokens = 1;
  status = moe_generate(session, prompt, prompt_count, &options, NULL, &error);
  if (status == MOE_OK) status = moe_reply_tokens(session, (int32_t*)result, 1000, &count, &error);
  result_bytes = count * 4;
  return status;
}
static moe_status score(void) {
  static const char* const labels[] = {" yes", " no"};
  result_bytes = 2 * sizeof(double);
  return moe_score(session, "Is it?", MOE_TEXT, labels, NULL, 2, (double*)result, NULL, NULL, &error);
}
static moe_status sample(void) {
  moe_sampler_options options;
  moe_sampler* sampler = NULL;
  float logits[40];
  int32_t id = -1;
  moe_status status;
  int i;
  for (i = 0; i < 40; ++i) logits[i] = (float)(i % 7);
  moe_sampler_options_init(&options, sizeof options);
  options.temperature = 1;
  options.top_p = 0.9;
  options.repetition_penalty = 1.2;
  status = moe_sampler_create(&options, &sampler, &error);
  if (status == MOE_OK) status = moe_sampler_see_prompt(sampler, prompt, prompt_count, &error);
  if (status == MOE_OK) status = moe_sampler_next(sampler, logits, 40, &id, &error);
  moe_sampler_free(sampler);
  result_bytes = sizeof id;
  memcpy(result, &id, sizeof id);
  return status;
}

static long denied_calls, refused_calls;

static void deny(const char* name, moe_status (*call)(void), long first, long last, const unsigned char* expected,
                 int64_t expected_bytes, int64_t room_before) {
  moe_status status;
  int64_t room = 0;
  const int failures_before = failures;
  allocations = 0;
  first_denied = first;
  last_denied = last;
  status = call();
  first_denied = -1;
  ++denied_calls;
  refused_calls += status != MOE_OK;
  CHECK(status == MOE_OK || status == MOE_OUT_OF_MEMORY);
  CHECK(inside_pool == 0);
  inside_pool = 0;
  CHECK(status == MOE_OK || error.code == status);
  if (status != MOE_OK && status != MOE_OUT_OF_MEMORY) fprintf(stderr, "  %s\n", error.message);
  CHECK(call() == MOE_OK);
  CHECK(result_bytes == expected_bytes && memcmp(result, expected, (size_t)expected_bytes) == 0);
  moe_session_forget(session, NULL);
  moe_session_free_tokens(session, &room, NULL);
  CHECK(room == room_before);
  if (failures != failures_before) {
    fprintf(stderr, "  in %s, allocations %ld to %ld denied: status %d, %s; room %ld of %ld\n", name, first, last,
            (int)status, error.message, (long)room, (long)room_before);
  }
}

/* Each allocation of the first `first`, and some of the others. */
static void try_call(const char* name, moe_status (*call)(void), long first) {
  enum { kSpread = 48 };
  static unsigned char expected[sizeof result];
  int64_t expected_bytes, room = 0;
  long total, i;
  result_bytes = 0;
  OK(call()); /* makes what is kept between calls */
  moe_session_forget(session, NULL);
  moe_session_free_tokens(session, &room, NULL);
  allocations = 0;
  OK(call());
  total = allocations;
  expected_bytes = result_bytes;
  memcpy(expected, result, (size_t)expected_bytes);
  moe_session_forget(session, NULL);
  for (i = 0; i < first + kSpread && failures < 20; ++i) {
    const long n = i < first ? i : first + (total - first) * (i - first) / kSpread;
    if (n >= total) break;
    deny(name, call, n, n, expected, expected_bytes, room);
    deny(name, call, n, total * 2, expected, expected_bytes, room);
  }
  CHECK(total > 0); /* the library's allocations come through here */
  printf("%s: %ld allocations\n", name, total);
}

int main(int argc, char** argv) {
  enum { kFirst = 48, kEvery = 1000000 };
  const long of_files = argc == 3 && strcmp(argv[2], "every") == 0 ? kEvery : kFirst;
  if (argc != 2 && of_files != kEvery) return 2;
  model_path = argv[1];
  init_error(&error);
  OK(moe_model_load(argv[1], MOE_TEXT, NULL, &model, &error));
  OK(moe_tokenize(model, "Hello", MOE_TEXT, 0, prompt, 16, &prompt_count, &error));
  OK(moe_session_create(model, NULL, &session, &error));
  try_call("load", load, of_files);
  try_call("inspect", inspect, of_files);
  try_call("info", info, kFirst);
  try_call("tokenize", tokenize, kFirst);
  try_call("chat", chat, kFirst);
  try_call("create", create, kFirst);
  try_call("step", step, kFirst);
  try_call("generate", generate, kFirst);
  try_call("score", score, kFirst);
  try_call("sample", sample, kFirst);
  moe_session_free(session);
  OK(moe_pool_host(host_pool, NULL, 2, &pool, &error));
  {
    moe_session_options options;
    moe_session_options_init(&options, sizeof options);
    options.pool = pool;
    OK(moe_session_create(model, &options, &session, &error));
  }
  try_call("load in a pool", load, kFirst);
  try_call("create in a pool", create, kFirst);
  try_call("step in a pool", step, kFirst);
  try_call("generate in a pool", generate, kFirst);
  printf("%ld calls with denied allocations, %ld refused\n", denied_calls, refused_calls);
  CHECK(refused_calls * 2 > denied_calls);
  moe_session_free(session);
  moe_pool_free(pool);
  moe_model_release(model);
  return finish("out_of_memory");
}
