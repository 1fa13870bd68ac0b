/* threads MODEL: sessions of one model in threads of their own give the same bits; cancelling from another thread and from
 * a signal handler ends a call. */
#include <pthread.h>
#include <signal.h>

#include "check.h"

enum { kThreads = 4, kTokens = 48 };

static moe_model* model;
static moe_session* signalled;
static int32_t prompt[] = {5, 6, 7};

static int64_t reply_of(moe_session* session, int32_t* ids) {
  moe_generate_options options;
  int64_t count = -1;
  moe_error error;
  init_error(&error);
  moe_generate_options_init(&options, sizeof options);
  options.max_tokens = kTokens;
  options.ignore_end_tokens = 1;
  if (moe_generate(session, prompt, 3, &options, NULL, &error) != MOE_OK) return -1;
  if (moe_reply_tokens(session, ids, kTokens, &count, &error) != MOE_OK) return -1;
  return count;
}

static void* in_thread(void* out) {
  moe_session* session = NULL;
  int64_t count = -1;
  int i;
  moe_model_retain(model);
  if (moe_session_create(model, NULL, &session, NULL) == MOE_OK)
    for (i = 0; i < 4; ++i) count = reply_of(session, (int32_t*)out);
  moe_session_free(session);
  moe_model_release(model);
  return count == kTokens ? out : NULL;
}

static void* cancel_later(void* session) {
  moe_session_cancel((moe_session*)session);
  return NULL;
}

static void on_signal(int number) {
  (void)number;
  moe_session_cancel(signalled);
}

/* Steps until one says that it was cancelled: one of them does, after each cancellation. */
static void step_until_cancelled(moe_session* session) {
  moe_batch_item item;
  moe_status status = MOE_OK;
  moe_error error;
  init_error(&error);
  moe_batch_item_init(&item, sizeof item);
  OK(moe_session_open(session, &item.sequence, &error));
  item.tokens = prompt;
  item.token_count = 3;
  while (status == MOE_OK) {
    status = moe_session_step(session, &item, 1, &error);
    if (moe_session_rewind(session, item.sequence, 0, &error) != MOE_OK) break;
  }
  CHECK(status == MOE_CANCELLED);
  OK(moe_session_step(session, &item, 1, &error));
  OK(moe_session_close(session, item.sequence, &error));
}

int main(int argc, char** argv) {
  static int32_t expected[kTokens], found[kThreads][kTokens];
  pthread_t threads[kThreads], other;
  moe_session* session = NULL;
  moe_error error;
  void* done;
  int i;
  if (argc != 2) return 2;
  init_error(&error);
  OK(moe_model_load(argv[1], MOE_TEXT, NULL, &model, &error));
  OK(moe_session_create(model, NULL, &session, &error));
  CHECK(reply_of(session, expected) == kTokens);
  for (i = 0; i < kThreads; ++i) CHECK(pthread_create(&threads[i], NULL, in_thread, found[i]) == 0);
  for (i = 0; i < kThreads; ++i) {
    CHECK(pthread_join(threads[i], &done) == 0 && done == found[i]);
    CHECK(memcmp(found[i], expected, sizeof expected) == 0);
  }
  for (i = 0; i < 8; ++i) {
    CHECK(pthread_create(&other, NULL, cancel_later, session) == 0);
    step_until_cancelled(session);
    CHECK(pthread_join(other, NULL) == 0);
  }
  signalled = session;
  CHECK(signal(SIGUSR1, on_signal) != SIG_ERR && raise(SIGUSR1) == 0);
  step_until_cancelled(session);
  moe_session_free(session);
  moe_model_release(model);
  return finish("threads");
}
